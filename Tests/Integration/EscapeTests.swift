import Foundation
import Testing

private let ready = Lab.runsPods

/// Attacks on the host from inside a pod, by an app that is root there, and by the image: docs/security.md has the table.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct EscapeTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    private func sh(_ script: String, _ options: String...) throws -> Outcome {
        try Lab.run("d2a", ["run", "--rm", id] + options + ["--", "sh", "-c", script], environment: ["D2A_DIR": place.store])
    }

    private func checksums() throws -> String {
        try Lab.run("sha256sum", ["d2a", "d2a-stage1", "d2a-image"].map { "\(Lab.programs)/\($0)" }).output
    }

    /// CVE-2024-21626: a working directory or a program by way of a descriptor of the runtime's.
    @Test func noDescriptorOfOursLeadsOut() throws {
        for number in 3..<24 {
            let directory = try sh("ls; ls ../../../../..", "--working-dir=/proc/self/fd/\(number)")
            #expect(directory.status == 254 && directory.output == "", "\(number): \(directory)")
            let program = try place.run("d2a", "run", "--rm", id, "--exec=/proc/self/fd/\(number)/../../../../../../bin/ls", "--", "/")
            #expect(program.status != 0 && program.output == "", "\(number): \(program)")
        }
        #expect(try sh("ls /proc/self/fd").output == "0\n1\n2\n3\n")
        let entered = try running("for n in 3 4 5 6 7 8 9; do d2a enter $uuid /bin/ls /proc/self/fd/$n/ 2>/dev/null; done; d2a enter $uuid ls /proc/self/fd")
        #expect(entered.output == "0\n1\n2\n3\n", "\(entered)")
        try place.expectNothingLeft()
    }

    /// A pod that runs while a line of shell does something with its UUID.
    private func running(_ script: String, image: String? = nil, app: String = "echo up; while :; do sleep 0.05; done") throws -> Outcome {
        try place.shell(
            """
            rm -f up; d2a run --rm --uuid-file-save=uuid \(image ?? id) -- /bin/busybox sh -c '\(app)' >up 2>errors & pod=$!
            for i in $(seq 200); do [ -s up ] && break; sleep 0.05; done; uuid=$(cat uuid)
            \(script)
            d2a stop --force $uuid >/dev/null; wait $pod 2>/dev/null; true
            """)
    }

    /// CVE-2019-5736: the image's program is the runtime's own, by way of /proc/self/exe, and writes to it.
    @Test func ourProgramsCannotBeOverwritten() throws {
        let before = try checksums()
        let image = try place.archive(
            "mkdir -p bin; cp $(command -v busybox) bin/busybox; ln -s busybox bin/ls; printf '#!/proc/self/exe\\n' >bin/evil; chmod 755 bin/evil",
            config: #"{"Cmd":["/bin/evil"]}"#)
        _ = try place.run("d2a", "run", "--rm", image)
        let overwrite = """
            echo up; while :; do for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || (: >$p/exe; echo bad >>$p/exe) 2>/dev/null; done; done
            """
        _ = try running("for i in 1 2 3 4 5 6 7 8; do d2a enter $uuid /bin/evil; d2a enter $uuid /bin/ls >/dev/null; done", image: image, app: overwrite)
        #expect(try checksums() == before)
        #expect(try place.run("d2a", "run", "--rm", id, "--", "echo", "alive").output == "alive\n")
        _ = try place.run("d2a", "gc", "--grace-period=0s")
    }

    /// Whoever takes over process 1 of the pod finds no files there, no rights, and no other root.
    /// An attack on a parser doesn't know where its code lies: programs of type ET_DYN are moved about.
    @Test func whatReadsStrangersBytesMoves() throws {
        for program in ["d2a-image", "docker2aci", "d2a-metadata"] {
            let file = try #require(FileHandle(forReadingAtPath: "\(Lab.programs)/\(program)"))
            let header = try #require(try file.read(upToCount: 18))
            #expect(header.prefix(4) == Data([0x7F, 0x45, 0x4C, 0x46]) && header[16] == 3, "\(program)")
        }
    }

    @Test func processOneHasNothing() throws {
        let outcome = try sh(
            "grep -E 'Cap(Prm|Eff)' /proc/1/status; ls /proc/1/root/ /proc/1/fd/ /proc/1/cwd/ 2>/dev/null | wc -l",
            "--caps-retain=CAP_SYS_PTRACE,CAP_DAC_READ_SEARCH")
        // CAP_KILL alone; an empty root; null three times, the way to the keeper, and ends of handlers.
        #expect(outcome.output.hasPrefix("CapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n"), "\(outcome)")
        let root = try sh("ls -a /proc/1/root/ | wc -l; ls -l /proc/1/fd | grep -c -v -E 'null|socket|pipe|total'", "--caps-retain=CAP_SYS_PTRACE")
        #expect(root.output == "2\n0\n", "\(root)")
    }

    @Test func devicesOfTheHostDontOpen() throws {
        let disk = try String(contentsOfFile: "/proc/partitions", encoding: .utf8).split(separator: "\n").dropFirst().first.map { $0.split(separator: " ") }
        let (major, minor) = (disk?[0] ?? "8", disk?[1] ?? "0")
        for place in ["/x", "/dev/x", "/tmp/x", "/data/x", "/dev/shm/x"] {
            let outcome = try sh("mknod \(place) b \(major) \(minor); head -c 1 \(place) | wc -c; mknod \(place)m c 1 1; head -c 1 \(place)m | wc -c")
            #expect(outcome.output == "0\n0\n" || outcome.output == "", "\(place): \(outcome)")
        }
        #expect(try sh("mknod /dev/mine c 1 3; echo x 2>/dev/null >/dev/mine || echo refused; echo y >/dev/null && echo fine").output == "refused\nfine\n")
        #expect(try sh("mkdir /d; mount -t devtmpfs d /d 2>/dev/null || echo refused").output == "refused\n")
    }

    @Test func theKernelIsOutOfReach() throws {
        let attacks = [
            "echo x >/proc/sysrq-trigger", "echo /x >/proc/sys/kernel/core_pattern", "echo x >/sys/kernel/uevent_helper", "mount -o remount,rw /sys",
            "mount -o remount,rw,bind /proc/sys", "mkdir /c; mount -t cgroup2 c /c", "umount /proc/kcore", "chroot /proc/1/root /bin/sh -c true",
            "nsenter -t 1 -m true", "unshare -m true", "hostname other", "swapoff -a", "insmod /x.ko",
            "cat /proc/kcore | head -c 1 | grep -q .",
        ]
        for attack in attacks { #expect(try sh("(\(attack)) 2>/dev/null && echo done").output == "", "\(attack)") }
    }

    /// Mount points of the image that are links, also such as change while we look.
    @Test func volumesStayInside() throws {
        try FileManager.default.createDirectory(atPath: place.path + "/outside", withIntermediateDirectories: true)
        let base = "mkdir -p bin; cp $(command -v busybox) bin/sh;"
        for (number, link) in [
            "ln -s \(place.path)/outside data", "ln -s ../../../../../..\(place.path)/outside data", "ln -s /proc/self/root\(place.path)/outside data",
        ]
        .enumerated() {
            let image = try place.archive(
                "\(base) \(link)", config: #"{"Cmd":["/bin/sh","-c","echo x >/data/file\#(number)"],"Volumes":{"/data":{}}}"#)
            _ = try place.run("d2a", "run", "--rm", image)
            _ = try place.run("d2a", "run", "--rm", "--no-overlay", image)
            _ = try place.run("d2a", "run", "--rm", "--volume=volume-data,kind=empty", image)
        }
        #expect(place.names("outside") == [])
        // Seeding follows no link out of the image.
        try "secret".write(toFile: place.path + "/outside/secret", atomically: true, encoding: .utf8)
        let image = try place.archive(
            "\(base) ln bin/sh bin/cat; ln bin/sh bin/ls; ln -s \(place.path)/outside data",
            config: #"{"Cmd":["/bin/sh","-c","cat /data/secret; ls -R /data"],"Volumes":{"/data":{}}}"#)
        #expect(try !place.run("d2a", "run", "--rm", image).output.contains("secret"))
        try place.expectNothingLeft()
    }
}
