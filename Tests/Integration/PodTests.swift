import Foundation
import Testing

private let ready = Lab.runsPods

/// Pods of several apps, and their volumes.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct PodTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// One app after the other in one pod, each a line of shell, with its options before it.
    private func pod(_ apps: [(options: [String], script: String)], _ options: String...) throws -> Outcome {
        let words = apps.enumerated().flatMap { number, app in [id, "--name=app\(number)"] + app.options + ["--", "sh", "-c", app.script, "---"] }
        return try Lab.run("d2a", ["run", "--rm"] + options + words, environment: ["D2A_DIR": place.store])
    }

    @Test func appsShareAllButTheirRoots() throws {
        let wait = "for i in $(seq 100); do [ -e /dev/shm/done ] && break; sleep 0.05; done"
        let outcome = try pod([
            ([], "for n in pid ipc net uts; do readlink /proc/self/ns/$n; done; echo x >/only; \(wait)"),
            (
                [],
                "sleep 0.2; for n in pid ipc net uts; do readlink /proc/self/ns/$n; done; ls /only 2>&1; cat /proc/[0-9]*/comm | grep -cx sh; touch /dev/shm/done"
            ),
        ])
        let lines = outcome.output.split(separator: "\n")
        #expect(outcome.status == 0 && (lines.last.flatMap { Int($0) } ?? 0) >= 2, "\(outcome)")
        #expect(lines.prefix(4) == lines.dropFirst(4).prefix(4))
        #expect(outcome.output.contains("/only: No such file"))
        try place.expectNothingLeft()
    }

    @Test func theFirstThatFailsEndsThePod() throws {
        #expect(try pod([([], "sleep 100"), ([], "exit 5")]).status == 5)
        #expect(try pod([([], "exit 0"), ([], "sleep 0.1")]).status == 0)
        #expect(try pod([([], "trap 'exit 9' TERM; while :; do sleep 0.05; done"), ([], "sleep 0.3; exit 6")]).status == 6)
        #expect(try pod([([], "trap '' TERM; sleep 100"), ([], "exit 7")], "--stop-timeout=1").status == 7)
        #expect(try pod([([], "sleep 100"), (["--working-dir=/nope"], "true")]).status == 254)
        try place.expectNothingLeft()
    }

    @Test func namesAreOnes() throws {
        let outcome = try place.run("d2a", "run", id, id)
        #expect(outcome.status == 254 && outcome.errors.contains("two apps have the name busybox"), "\(outcome.errors)")
        #expect(try place.run("d2a", "run", "--exec=/bin/sh", id).errors.contains("--exec must follow an image"))
        #expect(try place.run("d2a", "run", "--rm", id, "--exec", "true", "---", id, "--name=other", "--exec", "true").status == 0)
        #expect(try place.run("d2a", "run", "--rm", id, "--", "sh", "-c", "echo $#", "sh", "a", "", "--", "b").output == "4\n")
    }

    /// A volume in another's mount point, whichever is given first.
    @Test(arguments: [[], ["--no-overlay"]] + ["runc", "crun"].filter { Lab.has($0) }.map { ["--stage1=\($0)"] }) func volumesInVolumes(_ options: [String])
        throws
    {
        let mounts = ["--mount=volume=in,target=/a/b/c", "--mount=volume=out,target=/a", "--mount=volume=deep,target=/a/b/c/d"]
        for order in [mounts, mounts.reversed()] {
            let made = try place.shell("rm -rf in out; mkdir -p in out/b/c; echo in >in/file; echo out >out/file; echo hidden >out/b/c/hidden")
            try #require(made.status == 0)
            let outcome = try Lab.run(
                "d2a",
                ["run", "--rm"] + options + [
                    "--volume=in,kind=host,source=\(place.path)/in", "--volume=out,kind=host,source=\(place.path)/out", "--volume=deep,kind=empty", id,
                ] + order + [
                    "--", "sh", "-c", "cat /a/file /a/b/c/file; ls /a/b/c; echo new >/a/b/c/d/x; touch /a/b/c/made; grep -c ' /a' /proc/self/mountinfo",
                ],
                environment: ["D2A_DIR": place.store])
            #expect(outcome.output == "out\nin\nd\nfile\n3\n", "\(outcome)")
            #expect(place.names("in") == ["d", "file", "made"] && place.names("in/d") == [] && place.names("out/b/c") == ["hidden"])
        }
        try place.expectNothingLeft()
    }

    @Test func volumesOfTheHost() throws {
        try FileManager.default.createDirectory(atPath: place.path + "/host/sub", withIntermediateDirectories: true)
        try "hello".write(toFile: place.path + "/host/file", atomically: true, encoding: .utf8)
        let volume = "--volume=h,kind=host,source=\(place.path)/host"
        let mount = ["--mount=volume=h,target=/mnt/deep"]
        #expect(try pod([(mount, "cat /mnt/deep/file; touch /mnt/deep/new")], volume).output == "hello")
        #expect(place.names("host") == ["file", "new", "sub"])
        #expect(try pod([(mount, "touch /mnt/deep/x 2>&1")], volume + ",readOnly=true").output.contains("Read-only file system"))
        #expect(try pod([(["--mount=volume=h,target=/etc/passwd"], "ls /etc/passwd")], volume).output == "file\nnew\nsub\n")
        #expect(try pod([(["--mount=volume=h,target=/f"], "cat /f")], volume + "/file").output == "hello")
        let missing = try pod([(mount, "true")], volume + "/nothere")
        #expect(missing.status == 254 && missing.errors.contains("can't find") && !place.names("host").contains("nothere"), "\(missing.errors)")
        try place.expectNothingLeft()
    }

    @Test func emptyVolumesAndReadOnlyRoots() throws {
        let outcome = try pod(
            [
                (["--mount=volume=e,target=/shared", "--readonly-rootfs"], "stat -c %a:%u:%g /shared; touch /x 2>/dev/null || echo ro; echo data >/shared/f"),
                (["--mount=volume=e,target=/elsewhere"], "for i in $(seq 100); do [ -s /elsewhere/f ] && break; sleep 0.05; done; cat /elsewhere/f"),
            ], "--volume=e,kind=empty,mode=1777,uid=5,gid=6")
        #expect(outcome.output == "1777:5:6\nro\ndata\n", "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func implicitVolumesBeginAsTheImageIs() throws {
        let image = try place.archive(
            "mkdir -p bin data/sub; cp $(command -v busybox) bin/sh; ln bin/sh bin/stat; ln bin/sh bin/cat; echo seed >data/sub/f; ln data/sub/f data/g; ln -s g data/l; chmod 1750 data; chown 7:8 data data/sub",
            config: #"{"Cmd":["/bin/sh","-c","stat -c %a:%u:%g /data /data/sub; cat /data/l; echo x >/data/sub/f && cat /data/g"],"Volumes":{"/data":{}}}"#)
        let outcome = try place.run("d2a", "run", "--rm", image)
        #expect(outcome.output == "1750:7:8\n755:7:8\nseed\nx\n", "\(outcome)")
        #expect(outcome.errors.contains("warning: no volume specified for mount point \"volume-data\""))
        // The next pod's is a new one.
        #expect(try place.run("d2a", "run", "--rm", image).output == outcome.output)
        let empty = try place.run("d2a", "run", "--rm", "--volume=volume-data,kind=empty", image)
        #expect(empty.status != 0 && empty.output.hasPrefix("755:0:0\n"), "\(empty)")
        try place.expectNothingLeft()
    }

    @Test func handlersRunBeforeAndAfter() throws {
        let manifest = """
            {"acKind":"PodManifest","acVersion":"0.8.11","apps":[{"name":"main","image":{"id":"\(id.prefix(20))"},"app":{"exec":["/bin/sh","-c",
            "echo main $(id -u) $(cat /tmp/pre); exit 0"],"user":"app","group":"app","eventHandlers":[{"name":"pre-start","exec":["sh","-c",
            "echo pre $(id -u) $AC_APP_NAME; echo done >/tmp/pre"]},{"name":"post-stop","exec":["sh","-c","echo post $(cat /tmp/pre)"]}]}}]}
            """
        try manifest.write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
        let outcome = try place.run("d2a", "run", "--rm", "--pod-manifest=pod.json")
        #expect(outcome.status == 0 && outcome.output == "pre 0 main\nmain 1000 done\npost done\n", "\(outcome)")
        try manifest.replacingOccurrences(of: "echo pre", with: "exit 3; echo pre").write(toFile: place.path + "/bad.json", atomically: true, encoding: .utf8)
        let failed = try place.run("d2a", "run", "--rm", "--pod-manifest=bad.json")
        #expect(failed.status == 254 && failed.errors.contains("pre-start handler"), "\(failed)")
        #expect(failed.output == "post\n" || failed.output == "", "\(failed)")
        try place.expectNothingLeft()
    }

    @Test func environmentInItsOrder() throws {
        try "# comment\nA=file\nB=file\n".write(toFile: place.path + "/env", atomically: true, encoding: .utf8)
        let outcome = try pod(
            [(["--environment=A=app", "--environment=C=app"], "echo $A $B $C $GREETING $HOST")], "--set-env=B=set", "--set-env-file=\(place.path)/env")
        #expect(outcome.output == "file set app hello\n", "\(outcome)")
        let line = "GREETING=no ONLY=host d2a run --rm --inherit-env \(id) -- sh -c 'echo $GREETING $ONLY'"
        #expect(try place.shell(line).output == "hello host\n")
    }
}
