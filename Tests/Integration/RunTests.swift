import Foundation
import Testing

private let ready = Lab.runsPods

/// Pods, for real: as root, with the built-in stage1.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct RunTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    private func sh(_ script: String, _ options: String...) throws -> Outcome {
        try Lab.run("d2a", ["run", "--rm", id] + options + ["--", "sh", "-c", script], environment: ["D2A_DIR": place.store])
    }

    @Test func byPrefixByFileAndByName() throws {
        #expect(try place.run("d2a", "run", "--rm", String(id.prefix(15)), "--", "echo", "hello").output == "hello\n")
        #expect(try place.run("d2a", "run", "--rm", Lab.busybox, "--", "echo", "hello").output == "hello\n")
        let other = try Place()
        let server = try RegistryServer(other)
        try server.push(Lab.busybox, as: "library/busybox:latest")
        let outcome = try place.run("d2a", "run", "--rm", "\(server.address)/library/busybox", "--", "sh", "-c", "id; exit 7")
        #expect(outcome.status == 7 && outcome.output == "uid=0(root) gid=0(root) groups=0(root)\n", "\(outcome.errors)")
        let list = try place.run("d2a", "image", "list", "--no-legend").output
        #expect(list.contains("library/busybox:latest") && list.split(separator: "\n").count == 2)
        try place.expectNothingLeft()
    }

    @Test func exitCodesAndSignals() throws {
        #expect(try sh("exit 7").status == 7)
        #expect(try sh("kill -SEGV $$").status == 128 + 11)
        #expect(try place.run("d2a", "run", "--rm", id, "--", "nothere").status == 127)
        #expect(try place.run("d2a", "run", "--rm", id, "--", "/etc/passwd").status == 126)
        #expect(try sh("true", "--working-dir=/nope").status == 254)
        #expect(try sh("true", "--user=nobody").status == 254)
        let line =
            "d2a run --rm \(id) -- sh -c 'trap \"exit 9\" TERM; echo up; while :; do sleep 0.1; done' >up & while ! [ -s up ]; do sleep 0.05; done; kill -TERM $!; wait $!"
        #expect(try place.shell(line).status == 9)
        try place.expectNothingLeft()
    }

    /// What an image lacks to mount on is there, whatever the umask of whoever made it, and comes of no pod's making: also pods that
    /// start at once, the first ones of a store.
    @Test func placesToMountOn() throws {
        let outcome = try place.shell(
            """
            umask 077; for i in 1 2 3 4 5 6; do d2a run --rm \(id) --user=1234 -- sh -c 'stat -c "%a %n" /tmp /proc /sys /dev /etc /etc/hostname; cat /etc/hostname >/tmp/x' >out$i & done; wait
            cat out? | sort | uniq -c | sed 's/^ *//'; ls -A store/cas/places; ls -AR store/cas/places | grep -c x
            mkdir shared; chmod 755 shared; d2a run --rm --volume=s,kind=host,source=$PWD/shared --mount=volume=s,target=/a/b/c \(id) --user=1234 -- ls -d /a/b/c
            d2a run \(id) -- true; find store/pods/run -path '*/upper/*' ! -name data
            """)
        #expect(
            outcome.output == """
                6 1777 /tmp
                6 555 /proc
                6 555 /sys
                6 644 /etc/hostname
                6 755 /dev
                6 755 /etc
                etc+hosts+hostname+resolv.conf
                0
                /a/b/c

                """, "\(outcome)")
    }

    @Test func nothingIsLeftOfTheKilled() throws {
        for victim in ["$!", "$(pgrep -P $!)", "$(pgrep -P $(pgrep -P $!))"] {
            let outcome = try place.shell(
                """
                marker=$RANDOM$RANDOM; rm -f up
                d2a run --rm \(id) -- sh -c "echo up; echo data >/written; exec sleep 7$marker" >up & while ! [ -s up ]; do sleep 0.05; done
                sleep 0.1; kill -KILL \(victim) || { kill $!; exit 2; }; wait $!
                for i in $(seq 50); do pgrep -f "sleep 7$marker" >/dev/null || [ -n "$(ls store/pods/run)" ] || exit 0; sleep 0.1; done
                exit 1
                """)
            #expect(outcome.status == 0, "\(victim): \(outcome.output)\(outcome.errors)")
        }
        try place.expectNothingLeft()
    }

    @Test func theImageStaysAsItIs() throws {
        #expect(try sh("echo x >/new; rm -r /etc; ls /").output.contains("new"))
        #expect(try sh("ls /").output == "bin\ndata\ndev\netc\nproc\nroot\nsys\ntmp\n")
        #expect(try sh("ls / >/dev/null; rm /bin/vi; echo ok", "--no-overlay").output == "ok\n")
        #expect(try sh("ls /bin/vi", "--no-overlay").output == "/bin/vi\n")
        try place.expectNothingLeft()
    }

    /// On an overlay no other can have its layer: the pod gets a copy, whether it is to be kept or not.
    @Test func whereNoOverlayCanBe() throws {
        let outcome = try place.shell(
            """
            mkdir low up work on; unshare -m sh -c 'mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work on; export D2A_DIR=$PWD/on/store
            id=$(d2a fetch \(Lab.busybox)); v=--volume=volume-data,kind=empty
            for more in --rm --uuid-file-save=uuid; do d2a run $v $more $id -- sh -c "echo in >/file; cat /file; exit 7"; echo $?; done
            d2a list --no-legend | wc -l; d2a rm $(cat uuid) >/dev/null; ls on/store/pods/run'
            """)
        #expect(outcome.output == "in\n7\nin\n7\n1\n" && outcome.errors == "", "\(outcome)")
    }

    @Test func namespacesAreThePodsOwn() throws {
        let outcome = try sh(
            "echo $$; set -- /proc/[0-9]*; echo $#; hostname; cat /etc/hostname; ls /sys/class/net; cat /proc/self/mountinfo | grep -c ' / / '", "--net=none",
            "--hostname=box")
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.prefix(5).elementsEqual(["2", "2", "box", "box", "lo"]), "\(outcome)")
        for name in ["pid", "mnt", "uts", "ipc", "net"] {
            let inside = try sh("readlink /proc/self/ns/\(name)", "--net=none").output
            let outside = try Lab.run("readlink", ["/proc/self/ns/\(name)"]).output
            #expect(inside.contains(name) && inside != outside)
        }
        #expect(try sh("readlink /proc/self/ns/net", "--net=host").output == Lab.run("readlink", ["/proc/self/ns/net"]).output)
    }

    @Test func thePodSeesWhatTheSpecListsAndNoMore() throws {
        let devices = try sh(
            "cd /dev; for d in null zero full random urandom tty console ptmx; do [ -c $d ] && echo $d; done; [ -d shm ] && [ -d pts ] && echo dirs"
        ).output
        #expect(devices == "null\nzero\nfull\nrandom\nurandom\ntty\nconsole\nptmx\ndirs\n")
        #expect(
            try sh("touch /sys/x 2>/dev/null || echo ro; echo 1 2>/dev/null >/proc/sys/kernel/panic || echo ro; wc -c </proc/kallsyms; cat /proc/keys").output
                == "ro\nro\n0\n")
        #expect(
            try sh("grep -E 'Cap(Eff|Prm|Bnd|Inh)' /proc/self/status").output
                == "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n")
        #expect(try sh("grep CapEff /proc/self/status", "--user=app").output == "CapEff:\t0000000000000000\n")
        #expect(try sh("mknod /x c 1 3 && mount -t tmpfs t /tmp 2>/dev/null || echo refused").output == "refused\n")
        // Our own programs and files are out of reach (CVE-2019-5736; CVE-2024-21626).
        #expect(try sh("ls /proc/self/fd; readlink /proc/1/exe || echo hidden; readlink /proc/1/fd/3 || echo hidden").output == "0\n1\n2\n3\nhidden\nhidden\n")
    }

    @Test func environmentUserAndDirectory() throws {
        let outcome = try sh("env | sort; id; pwd", "--user=app", "--working-dir=/etc", "--set-env=A=b c", "--net=none")
        #expect(
            outcome.output
                == """
                A=b c
                AC_APP_NAME=busybox
                GREETING=hello
                HOME=/home/app
                LOGNAME=app
                PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
                PWD=/etc
                SHELL=/bin/sh
                SHLVL=1
                USER=app
                container=d2a
                uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)
                /etc

                """, "\(outcome.errors)")
    }

    @Test func theTerminalIsAnAppsOwn() throws {
        // script(1) gives d2a a terminal; keys come when what they are for is there.
        let outcome = try place.shell(
            """
            await() { for i in $(seq 200); do grep -q "$1" seen && return; sleep 0.05; done; }
            : >seen
            (await '[#] '; printf 'tty; stty size; echo $TERM; echo re""ady; sleep 99\\n'; await ready; printf '\\003'; await 'C'; printf 'exit 5\\n'; await 'exit 5') |
                TERM=vt100 script -qefc 'stty rows 33 cols 77; d2a run --rm \(id)' /dev/null >seen; status=${PIPESTATUS[1]}; tr -d '\\r' <seen; exit $status
            """)
        #expect(outcome.status == 5, "\(outcome.output)")
        for word in ["/dev/pts/0", "33 77", "vt100", "^C"] { #expect(outcome.output.contains(word), "\(outcome.output)") }
        #expect(try place.shell("echo piped | d2a run --rm \(id) -- cat").output == "piped\n")
    }

    @Test func linksOfTheImageLeadNowhereElse() throws {
        let outside = place.path + "/outside"
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try "host".write(toFile: outside + "/file", atomically: true, encoding: .utf8)
        let base = "mkdir -p bin; cp $(command -v busybox) bin/sh; cp bin/sh bin/cat;"
        for target in ["etc/hosts", "etc/resolv.conf", "etc/hostname"] {
            let image = try place.archive("\(base) mkdir etc; ln -s \(outside)/file \(target)")
            let outcome = try place.run("d2a", "run", "--rm", image, "--", "cat", "/" + target)
            #expect(outcome.status == 0 || outcome.status == 1, "\(outcome.errors)")
            #expect(!outcome.output.contains("host\n") || target != "etc/hosts" || outcome.output.contains("127.0"))
        }
        for target in ["proc", "sys", "dev"] where target != "dev" {
            let image = try place.archive("\(base) ln -s \(outside) \(target)")
            let outcome = try place.run("d2a", "run", "--rm", image, "--", "cat")
            #expect(outcome.status == 254 && outcome.errors.contains("/\(target) of the image must be a directory"), "\(outcome.errors)")
        }
        for target in ["etc", "tmp"] {
            let image = try place.archive("\(base) ln -s ../../../../../../\(outside) \(target)")
            _ = try place.run("d2a", "run", "--rm", image, "--", "sh", "-c", "echo in >/\(target)/new")
        }
        #expect(place.names("outside") == ["file"])
        #expect(try String(contentsOfFile: outside + "/file", encoding: .utf8) == "host")
        try place.expectNothingLeft()
    }

    @Test func manyAtOnceShareOneTree() throws {
        let outcome = try place.shell("for i in $(seq 12); do d2a run --rm \(id) -- sh -c 'echo $$' >>out & done; wait; sort -u out; wc -l <out")
        #expect(outcome.output == "2\n12\n", "\(outcome.errors)")
        #expect(place.names("store/cas/tree").count == 1)
        try place.expectNothingLeft()
    }
}
