import Foundation
import Testing

private let ready = Lab.runsPods && Lab.has("clang")
private let runtimes = ["runc", "crun"].filter { Lab.has($0) }

/// Apps that runc and crun start: what the built-in stage1 fences in is fenced in there too.
@Suite(.enabled(if: ready && !runtimes.isEmpty, "needs root, skopeo, umoci, busybox, clang, and runc or crun (make setup)"))
struct RuntimeTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// What d2a-probe finds, in place of the image's program.
    private func probe(_ stage1: String, pod: [String] = [], _ options: [String]) throws -> [String: Any] {
        let words =
            [
                "run", "--rm", place.newUUIDFile, "--stage1=\(stage1)", "--hostname=pod", "--volume=p,kind=host,source=\(Lab.programs),readOnly=true",
                "--volume=volume-data,kind=empty",
            ] + pod + [id]
            + options + ["--mount=volume=p,target=/p", "--exec=/p/d2a-probe"]
        let outcome = try Lab.run("d2a", words, in: place.path, environment: ["D2A_DIR": place.store])
        try #require(outcome.status == 0, "\(outcome)")
        var found = try #require(try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
        #expect(outcome.errors == "", "\(stage1)")
        // Runtimes put pipes between.
        found["descriptors"] = (found["descriptors"] as? [String: Any])?.keys.sorted()
        return found
    }

    private static let options: [[String]] = [
        [], ["--user=app", "--supplementary-gids=77,78"], ["--caps-retain=CAP_NET_ADMIN,CAP_KILL"], ["--caps-remove=CAP_MKNOD", "--readonly-rootfs=true"],
        ["--oom-score-adj=77"], ["--seccomp=mode=retain,@appc.io/all"], ["--user=1000", "--group=5"],
    ]

    @Test(arguments: runtimes) func asTheBuiltinOne(_ runtime: String) throws {
        for options in Self.options {
            let (own, theirs) = (try probe("builtin", options), try probe(runtime, options))
            for name in [
                "users", "groups", "supplementaryGroups", "capabilities", "noNewPrivileges", "seccomp", "limits", "environment", "directory", "kernelPaths",
                "hostName", "files", "descriptors", "umask", "oomScoreAdjust", "arguments", "secureBits", "blockedSignals",
            ] {
                #expect(NSDictionary(dictionary: [name: own[name] ?? "none"]) == NSDictionary(dictionary: [name: theirs[name] ?? "none"]), "\(options)")
            }
            // A namespace of each kind of its own, but for what it shares with its pod or, as nothing else is asked for, the host.
            let spaces = try #require(theirs["namespaces"] as? [String: String])
            for kind in ["cgroup", "ipc", "mnt", "pid", "uts"] {
                #expect(try spaces[kind] != FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/\(kind)"), "\(kind)")
            }
        }
        try place.expectNothingLeft()
        try place.expectNoGroups()
    }

    @Test(arguments: runtimes) func mountsAsTheBuiltinOneMakesThem(_ runtime: String) throws {
        let made = try place.shell("mkdir -p tree/below; mount -t tmpfs none tree/below")
        try #require(made.status == 0, "\(made.errors)")
        defer { _ = try? place.shell("umount tree/below") }
        let pod = ["--volume=t,kind=host,source=\(place.path)/tree,readOnly=true", "--volume=w,kind=empty"]
        func restrictions(_ stage1: String) throws -> [String: Set<String>] {
            let mounts = try #require(try probe(stage1, pod: pod, ["--mount=volume=t,target=/t", "--mount=volume=w,target=/w"])["mounts"] as? [[String: Any]])
            return Dictionary(
                mounts.compactMap { mount in
                    guard let point = mount["point"] as? String, let options = mount["options"] as? String else { return nil }
                    // Devices that runtimes make have no mount of their own, and those of terminals are told apart by nothing.
                    if point.hasPrefix("/dev/"), !["/dev/pts", "/dev/shm", "/dev/mqueue"].contains(point) { return nil }
                    return (point, Set(options.split(separator: ",").map(String.init)).intersection(["ro", "nosuid", "nodev", "noexec"]))
                }, uniquingKeysWith: { $1 })
        }
        let (own, theirs) = (try restrictions("builtin"), try restrictions(runtime))
        #expect(theirs["/t/below"]?.contains("ro") == true && theirs["/t"] == ["ro", "nodev"] && theirs["/w"] == ["nodev"])
        // They make devices in /dev itself; crun mounts the root anew: the controller of devices refuses what isn't to be. What is hidden or
        // can't be written needs no more.
        for (point, flags) in own where point != "/dev" && !point.hasPrefix("/proc/") && !point.hasPrefix("/sys/") {
            if point == "/", runtime == "crun" { continue }
            #expect(flags.isSubset(of: theirs[point] ?? []), "\(point): \(flags), \(theirs[point] ?? [])")
        }
    }

    #if arch(x86_64)
        @Test(arguments: runtimes) func callsAsTheBuiltinOneFiltersThem(_ runtime: String) throws {
            try FileManager.default.createDirectory(atPath: place.path + "/probe", withIntermediateDirectories: true)
            let built = try place.shell("clang -static -O1 -D_GNU_SOURCE -o probe/calls \(Lab.package)/Tests/Fixtures/calls.c")
            try #require(built.status == 0, "\(built.errors)")
            func calls(_ stage1: String, _ options: [String]) throws -> Outcome {
                try Lab.run(
                    "d2a",
                    [
                        "run", "--rm", place.newUUIDFile, "--stage1=\(stage1)", "--volume=p,kind=host,source=\(place.path)/probe",
                        "--volume=volume-data,kind=empty", id,
                    ] + options + [
                        "--mount=volume=p,target=/p", "--exec=/p/calls", "--", "165", "272", "435", "425", "250", "41,40", "41,1",
                        "135,0x40000", "135,0xffffffff", "332", "39", "246", "90", "32:20", "32:21",
                    ], environment: ["D2A_DIR": place.store])
            }
            for options in [
                [], ["--caps-retain=CAP_SYS_ADMIN"], ["--user=app"], ["--seccomp=mode=retain,@appc.io/all"],
                ["--seccomp=mode=remove,errno=ENOTSUP,getpgrp,chmod"],
                ["--seccomp=mode=remove,@docker/default-blacklist,errno=EACCES"], ["--seccomp=mode=retain,errno=ENOSPC,@docker/default-whitelist,keyctl"],
                ["--seccomp=mode=remove,chmod"],
            ] {
                let (own, theirs) = (try calls("builtin", options), try calls(runtime, options))
                #expect(own.status == theirs.status && own.output == theirs.output, "\(options): \(own) \(theirs)")
                #expect(theirs.errors == "", "\(options)")
            }
            let namespaces = try place.run(
                "d2a", "run", "--rm", "--stage1=\(runtime)", "--volume=p,kind=host,source=\(place.path)/probe", id, "--mount=volume=p,target=/p",
                "--exec=/p/calls", "--", "56,0x10000000")
            #expect(namespaces.output == "56,0x10000000 EPERM\n", "\(namespaces)")
            // What the runtime itself calls after it has set the filter can't be forbidden, which is said, and --strict refuses.
            for set in ["retain,errno=EPERM,@appc.io/empty", "remove,errno=EPERM,setuid,chmod"] {
                let (own, told) = (try calls("builtin", ["--seccomp=mode=\(set)"]), try calls(runtime, ["--seccomp=mode=\(set)"]))
                #expect(told.errors.contains("for the calls that \(runtime) itself makes, is not enforced") && told.output == own.output, "\(told)")
            }
            let refused = try place.run("d2a", "run", "--rm", "--strict", "--stage1=\(runtime)", id, "--seccomp=mode=remove,setuid", "--", "true")
            #expect(refused.status == 254 && refused.errors.contains(runtime), "\(refused)")
            try place.expectNothingLeft()
        }
    #endif

    @Test(arguments: runtimes) func memoryProcessorsAndDevices(_ runtime: String) throws {
        let stage1 = "--stage1=\(runtime)"
        let killed = try place.run(
            "d2a", "run", "--rm", place.newUUIDFile, stage1, id, "--memory=24Mi", "--", "sh", "-c",
            "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 3")
        #expect(killed.output.trimmingCharacters(in: .whitespacesAndNewlines) != "90000000", "\(killed)")
        let whole = try place.run(
            "d2a", "run", "--rm", place.newUUIDFile, stage1, id, "--", "sh", "-c", "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c")
        #expect(whole.output == "90000000\n", "\(whole)")
        let device = try place.run(
            "d2a", "run", "--rm", place.newUUIDFile, stage1, id, "--", "sh", "-c", "mknod /dev/loop c 10 237 && head -c1 /dev/loop; head -c3 /dev/zero | wc -c")
        #expect(device.errors.contains("/dev/loop: ") && device.output == "3\n", "\(device)")
        let volume = try place.run(
            "d2a", "run", "--rm", place.newUUIDFile, stage1, "--volume=k,kind=host,source=/dev/kmsg", id, "--mount=volume=k,target=/k", "--", "sh", "-c",
            "echo >/k && echo done")
        #expect(volume.output == "done\n" || !FileManager.default.isWritableFile(atPath: "/dev/kmsg"), "\(volume)")
        try place.expectNoGroups()
    }

    /// The pod is killed with all that watches it: what is left of the runtime's groups goes with `d2a gc`.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cpu/cpu.shares"), "needs cgroup version 1"), arguments: runtimes)
    func groupsOfTheKilledGo(_ runtime: String) throws {
        let outcome = try place.shell(
            """
            echo '{"acKind":"PodManifest","acVersion":"0.8.11","isolators":[{"name":"resource/memory","value":{"limit":"64Mi"}}],"apps":[{"name":"a",
            "image":{"id":"\(id)"},"app":{"exec":["/bin/sh","-c","echo up; sleep 1000"],"user":"0","group":"0","isolators":[{"name":"resource/memory","value":
            {"limit":"24Mi"}},{"name":"resource/cpu","value":{"limit":"15m"}},{"name":"os/linux/cpu-shares","value":512},
            {"name":"os/linux/no-new-privileges","value":true}]}}]}' >pod.json
            d2a run --uuid-file-save=uuid --stage1=\(runtime) --pod-manifest=pod.json >up & pod=$!
            for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done; u=$(cat uuid)
            cd $(grep memory store/pods/run/$u/cgroups | tail -1); cat ../memory.limit_in_bytes memory.limit_in_bytes; grep -q . cgroup.procs && echo joined
            grep NoNewPrivs /proc/$(head -1 cgroup.procs)/status; cd \(place.path)
            cd $(grep cpu/ store/pods/run/$u/cgroups | tail -1); cat cpu.cfs_quota_us cpu.cfs_period_us cpu.shares; cd \(place.path)
            init=$(cat store/pods/run/$u/pid); kill -9 $pod $(awk '/^PPid/{print $2}' /proc/$init/status); wait $pod 2>/dev/null
            for i in $(seq 100); do [ "$(d2a status $u | head -1)" = state=exited ] && break; sleep 0.05; done
            d2a gc --grace-period=0s; find /sys/fs/cgroup -name "*$u*"
            """)
        #expect(
            outcome.output.split(separator: "\n").dropLast().map(String.init) == [
                "67108864", "25165824", "joined", "NoNewPrivs:\t1", "1500", "100000", "512",
            ] && outcome.output.contains("Garbage collecting pod"), "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test(arguments: runtimes) func pathsAndRightsAsAsked(_ runtime: String) throws {
        let words = ["run", "--rm", place.newUUIDFile, "--stage1=\(runtime)", "--insecure-options=all-run", id, "--", "sh", "-c"]
        let open = try Lab.run(
            "d2a", words + ["grep -E 'Seccomp:|CapBnd' /proc/self/status; cat /proc/sys/kernel/shmmni >/proc/sys/kernel/shmmni && echo written"],
            environment: ["D2A_DIR": place.store])
        let own = try String(contentsOfFile: "/proc/self/status", encoding: .utf8).split(separator: "\n").first { $0.hasPrefix("CapBnd") }
        #expect(open.output == "\(own ?? "")\nSeccomp:\t0\nwritten\n", "\(open)")
    }

    @Test func chrootSaysWhatItIgnores() throws {
        let options = ["--caps-retain=CAP_KILL", "--seccomp=mode=remove,mkdir"]
        let told = try Lab.run(
            "d2a", ["run", "--rm", place.newUUIDFile, "--stage1=chroot", id] + options + ["--", "true"], environment: ["D2A_DIR": place.store])
        for name in ["os/linux/capabilities-…-set", "os/linux/seccomp-…-set"] { #expect(told.errors.contains(name), "\(told)") }
        let refused = try place.run("d2a", "run", "--rm", "--strict", "--stage1=chroot", id, "--caps-retain=CAP_KILL", "--", "true")
        #expect(refused.status == 254 && refused.errors.contains("capabilities"), "\(refused)")
        // Those of the pod that would be its apps', too.
        try """
        {"acKind":"PodManifest","acVersion":"0.8.11","isolators":[{"name":"os/linux/apparmor-profile","value":{"profile":"p"}}],
        "apps":[{"name":"a","image":{"id":"\(id)"},"app":{"exec":["/bin/true"],"user":"0","group":"0"}}]}
        """.write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
        let labelled = try place.run("d2a", "run", "--rm", "--stage1=chroot", "--pod-manifest=pod.json")
        #expect(labelled.status == 0 && labelled.errors.contains("os/linux/apparmor-profile of the app a, with --stage1=chroot is not enforced"), "\(labelled)")
        try place.expectNothingLeft()
    }
}
