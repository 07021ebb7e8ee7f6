import Foundation
import Testing

private let ready =
    Lab.runsPods && Lab.has("setpriv") && Lab.has("newuidmap") && Lab.has("useradd")

/// Pods of a user who is nobody special: a real one, made for the test, with subordinate users or without.
@Suite(.serialized, .enabled(if: ready, "needs root, skopeo, umoci, busybox, setpriv, newuidmap and useradd (make setup)"))
final class RootlessTests {
    private let place: Place
    private let name = "d2a-\(getpid())-\(UInt16.random(in: 0...UInt16.max))"

    init() throws {
        place = try Place()
        // Programs, an image and a home that this user can reach.
        let made = try place.shell(
            """
            useradd -M \(name) && chmod 755 . && mkdir bin home && cp \(Lab.programs)/{d2a,d2a-image,d2a-stage1,d2a-metadata} bin && cp \(Lab.busybox) . &&
                chmod 644 busybox.docker && chown \(name) home
            """)
        try #require(made.status == 0, "\(made.errors)")
    }

    // Its metadata service may still be there for a moment, which userdel would mind.
    deinit { _ = try? Lab.run("userdel", ["-f", name]) }

    private func shell(_ line: String) throws -> Outcome {
        try place.shell(
            """
            cd home && setpriv --reuid=\(name) --regid=\(name) --clear-groups env -i HOME=$PWD XDG_RUNTIME_DIR=$PWD PATH=\(place.path)/bin:/usr/bin:/bin \
            bash -c '\(line)'
            """)
    }

    private func expectNothingLeft() throws {
        for phase in ["prepare", "run", "exited-garbage"] { #expect(place.names("home/.local/share/d2a/pods/\(phase)") == []) }
        #expect(try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).contains(place.path) == false)
    }

    @Test func withSubordinateUsers() throws {
        let outcome = try shell(
            #"d2a run --rm --net=none ../busybox.docker --user=app -- sh -c "id; touch /tmp/x; stat -c %u /tmp/x; wc -l </proc/self/uid_map; grep CapPrm /proc/self/status; exit 7""#
        )
        #expect(outcome.status == 7, "\(outcome)")
        #expect(outcome.output == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n1000\n2\nCapPrm:\t0000000000000000\n")
        // Its root is nobody outside, with a host's file as with its own.
        let host = place.path + "/home/file"
        let root = try shell(
            #"echo secret >file; d2a run --rm --volume=v,kind=host,source=$PWD ../busybox.docker --mount=volume=v,target=/v -- sh -c "cat /v/file; echo new >/v/made; grep CapBnd /proc/self/status""#
        )
        #expect(root.output == "secret\nCapBnd:\t00000000a80425fb\n", "\(root)")
        #expect(try Lab.run("stat", ["-c", "%U", host, place.path + "/home/made"]).output == "\(name)\n\(name)\n")
        try expectNothingLeft()
    }

    @Test func aloneWhereThereAreNone() throws {
        try place.shell("sed -i '/^\(name):/d' /etc/subuid /etc/subgid")
        let outcome = try shell(
            #"d2a run --rm ../busybox.docker -- sh -c "id -u; rm /bin/vi && echo written; cat /proc/self/uid_map; ls /dev/null /dev/pts/ptmx; exit 5""#)
        #expect(outcome.status == 5 && outcome.output.hasPrefix("0\nwritten\n"), "\(outcome)")
        #expect(outcome.output.split(separator: "\n").count == 5)
        // A user that isn't there can't be had, and that is said.
        let other = try shell("d2a run --rm ../busybox.docker --user=app -- true")
        #expect(other.status == 254 && other.errors.contains("/etc/subuid"), "\(other)")
        try expectNothingLeft()
    }

    @Test func exportsAreTheSameForEverybody() throws {
        let outcome = try shell(
            #"""
            d2a run --uuid-file-save=uuid ../busybox.docker -- sh -c "echo new >/made; chown 5:6 /made; rm /etc/group"
            d2a export $(cat uuid) out.aci && d2a rm --uuid-file=uuid >/dev/null && tar -tvf out.aci | grep -E "rootfs/(made|etc/group)" | tr -s " " | cut -d" " -f1-3,6
            d2a run --rm --insecure-options=image out.aci -- cat /made
            """#)
        #expect(outcome.output == "-rw-r--r-- 5/6 4 rootfs/made\nnew\n", "\(outcome)")
        try expectNothingLeft()
    }

    @Test func theVerbsToo() throws {
        let outcome = try shell(
            #"""
            d2a run --uuid-file-save=uuid --mds-register ../busybox.docker -- sh -c "trap \"exit 9\" TERM; echo up; while :; do sleep 0.1; done" >up & pod=$!
            while ! [ -s up ]; do sleep 0.05; done; uuid=$(cat uuid)
            d2a enter $uuid -- sh -c "id -u; wget -qO- \$AC_METADATA_URL/acMetadata/v1/pod/uuid; echo; grep CapBnd /proc/self/status"
            d2a list --full --no-legend | cut -f1; d2a stop $uuid; wait $pod; echo $?; d2a rm $uuid
            """#)
        let uuid = try String(contentsOfFile: place.path + "/home/uuid", encoding: .utf8)
        #expect(outcome.output == "0\n\(uuid)\nCapBnd:\t00000000a80425fb\n\(uuid)\n\"\(uuid)\"\n9\n\"\(uuid)\"\n", "\(outcome)")
        try expectNothingLeft()
    }

    /// With subordinate users and alone.
    private func withoutSubordinates() throws { try place.shell("sed -i '/^\(name):/d' /etc/subuid /etc/subgid") }

    @Test func limitsWithoutAGroupAreTold() throws {
        let told = try shell("d2a run --rm ../busybox.docker --memory=24Mi --cpu=500m -- echo done")
        #expect(told.status == 0 && told.output == "done\n", "\(told)")
        for name in ["resource/memory of the app busybox (", "resource/cpu of the app busybox (", "systemd-run --user"] {
            #expect(told.errors.contains(name), "\(told.errors)")
        }
        let refused = try shell("d2a run --rm --strict ../busybox.docker --memory=24Mi -- echo done")
        #expect(refused.status == 254 && refused.output == "" && refused.errors.contains("resource/memory of the app busybox ("), "\(refused)")
        try expectNothingLeft()
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/sys/fs/cgroup/memory/memory.limit_in_bytes"), "needs cgroup version 1"))
    func limitsInAGroupOfOnesOwn() throws {
        let group = "/sys/fs/cgroup/memory/\(name)"
        defer { _ = try? Lab.run("rmdir", [group]) }
        let made = try place.shell("mkdir \(group) && chown -R \(name) \(group)")
        try #require(made.status == 0, "\(made.errors)")
        let outcome = try place.shell(
            """
            echo $$ >\(group)/cgroup.procs; cd home; setpriv --reuid=\(name) --regid=\(name) --clear-groups env -i HOME=$PWD XDG_RUNTIME_DIR=$PWD \
            PATH=\(place.path)/bin:/usr/bin:/bin d2a run --rm --strict ../busybox.docker --memory=24Mi -- \
            sh -c 'grep -c d2a-.*/app-busybox /proc/self/cgroup; head -c 100000000 /dev/zero | tail -c 90000000 | wc -c'
            """)
        #expect(!outcome.output.contains("90000000") && !outcome.errors.contains("enforced"), "\(outcome)")
        #expect(try Lab.run("find", [group, "-mindepth", "1", "-type", "d"]).output == "")
        try expectNothingLeft()
    }

    @Test func networksAreRoots() throws {
        for options in ["--net=default", "--net=all", "--port=80-tcp:18081"] {
            let image = try place.archive("mkdir bin; cp $(command -v busybox) bin/sh", config: #"{"Cmd":["/bin/sh"],"ExposedPorts":{"80/tcp":{}}}"#)
            try place.shell("chmod 644 \(image)")
            let refused = try shell("d2a run --rm \(options) \(image) -- sh -c :")
            #expect(refused.status == 254 && refused.errors.contains("only root can give a pod a network of its own"), "\(refused)")
            #expect(refused.errors.contains("--net=none"))
        }
        try expectNothingLeft()
    }

    @Test(arguments: [true, false]) func treesOfOtherUsersGo(_ hasSubordinates: Bool) throws {
        if !hasSubordinates { try withoutSubordinates() }
        let image = try place.archive(
            "mkdir -p bin closed/deep; cp $(command -v busybox) bin/sh; mknod null c 1 3; echo secret >closed/deep/file; chown -R 1000:1000 closed; chmod -R go-rwx closed"
        )
        try place.shell("chmod 644 \(image)")
        for command in ["image rm $(cat id)", "image gc --grace-period=0s"] {
            let outcome = try shell(
                """
                d2a fetch \(image) >id && d2a run --rm $(cat id) -- sh -c "read x </closed/deep/file; echo \\$x"; d2a image verify >/dev/null; echo $?
                d2a \(command) >/dev/null; ls -A .local/share/d2a/cas/tree .local/share/d2a/cas/image
                """)
            #expect(outcome.output == "secret\n0\n.local/share/d2a/cas/image:\n\n.local/share/d2a/cas/tree:\n", "\(outcome)")
        }
        try expectNothingLeft()
    }

    @Test func ownersThatOneDoesntHave() throws {
        let image = try place.archive("mkdir bin; cp $(command -v busybox) bin/sh; touch far; chown 70000:70000 far")
        try place.shell("chmod 644 \(image)")
        let refused = try shell("d2a run --rm \(image) -- sh -c :")
        #expect(refused.status == 254 && refused.errors.contains("belongs to user 70000") && refused.errors.contains("/etc/subuid"), "\(refused)")
        try expectNothingLeft()
    }

    @Test(arguments: [true, false]) func volumes(_ hasSubordinates: Bool) throws {
        if !hasSubordinates { try withoutSubordinates() }
        let owner = hasSubordinates ? "uid=5,gid=6" : "uid=0,gid=0"
        let outcome = try shell(
            """
            mkdir -p ro rw; echo given >ro/file; echo one >single
            d2a run --rm --volume=e,kind=empty,mode=1770,\(owner) --volume=r,kind=host,source=$PWD/ro,readOnly=true --volume=w,kind=host,source=$PWD/rw \\
            --volume=s,kind=host,source=$PWD/single ../busybox.docker --mount=volume=e,target=/e --mount=volume=r,target=/made/here --mount=volume=w,target=/w \\
            --mount=volume=s,target=/s -- sh -c "stat -c %u:%g:%a /e; touch /e/x; cat /made/here/file /s; touch /made/here/y 2>/dev/null || echo closed; \
            echo back >/w/z; stat -c %u /w/z; ls /data"
            stat -c %U rw/z; cat rw/z
            """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        let expected = [hasSubordinates ? "5:6:1770" : "0:0:1770", "given", "one", "closed", "0", name, "back"]
        #expect(lines.filter { expected.contains($0) } == expected, "\(outcome)")
        try expectNothingLeft()
    }

    /// Manifests and trees are compared without root; processes aren't, and the status says so.
    @Test func comparing() throws {
        let archive = try place.archive("mkdir etc; echo a >etc/a; chown 7:8 etc/a; find . -mindepth 1 -exec touch -h -d @1000000000 {} +")
        try place.shell("chmod 644 \(archive); mv \(archive) made.docker")
        let same = try shell(
            "export DOCKER_HOST=unix:///none; d2a compare --only=manifest,filesystem ../made.docker; echo $?; d2a compare --only=filesystem ../busybox.docker; echo $?"
        )
        #expect(
            same.output.split(separator: "\n").map { $0.prefix { $0 != "(" } } == [
                "../made.docker: the same in all that matters ", "0", "../busybox.docker: the same in all that matters ", "0",
            ], "\(same)")
        let all = try shell("DOCKER_HOST=unix:///none d2a compare ../busybox.docker")
        #expect(all.status == 2 && all.output.contains("processes are compared by root only"), "\(all)")
        // Alone in a namespace nobody else can own a file.
        try place.shell("sed -i '/^\(name):/d' /etc/subuid /etc/subgid")
        let alone = try shell("DOCKER_HOST=unix:///none d2a compare --only=manifest,filesystem ../made.docker; echo $?")
        #expect(alone.output.contains("not compared: no engine answers, and unpacking with umoci needs root") && alone.output.hasSuffix("2\n"), "\(alone)")
    }
}
