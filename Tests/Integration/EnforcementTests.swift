import Foundation
import Testing

private let ready = Lab.runsPods && Lab.has("clang")

/// What apps find to be forbidden and limited, seen from inside; and what is left of it outside.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci, busybox and clang (make setup)"))
struct EnforcementTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    private func run(_ options: String..., script: String) throws -> Outcome {
        try Lab.run("d2a", ["run", "--rm", place.newUUIDFile, id] + options + ["--", "sh", "-c", script], environment: ["D2A_DIR": place.store])
    }

    /// What calls answer, by number, with an argument after a comma.
    private func calls(_ numbers: String..., options: String...) throws -> [String: String] {
        try FileManager.default.createDirectory(atPath: place.path + "/probe", withIntermediateDirectories: true)
        let built = try place.shell("clang -static -O1 -D_GNU_SOURCE -o probe/calls \(Lab.package)/Tests/Fixtures/calls.c")
        try #require(built.status == 0, "\(built.errors)")
        let outcome = try Lab.run(
            "d2a",
            ["run", "--rm", "--volume=p,kind=host,source=\(place.path)/probe", id] + options + ["--mount=volume=p,target=/p", "--exec=/p/calls", "--"]
                + numbers, environment: ["D2A_DIR": place.store])
        try #require(outcome.status == 0, "\(outcome)")
        return Dictionary(
            uniqueKeysWithValues: outcome.output.split(separator: "\n").map { line in
                let words = line.split(separator: " ").map(String.init)
                return (words[0], words[1])
            })
    }

    private func status(_ field: String, in outcome: Outcome) -> String? {
        outcome.output.split(separator: "\n").first { $0.hasPrefix(field + ":") }?.split(separator: "\t").last.map(String.init)
    }

    @Test func capabilitiesAsTheKernelHasThem() throws {
        let look = "cat /proc/self/status"
        let usual = try run(script: look)
        for set in ["CapPrm", "CapEff", "CapBnd"] { #expect(status(set, in: usual) == "00000000a80425fb", "\(set)") }
        for set in ["CapInh", "CapAmb"] { #expect(status(set, in: usual) == "0000000000000000", "\(set)") }
        #expect(status("Seccomp", in: usual) == "2" && status("NoNewPrivs", in: usual) == "0")
        #expect(status("CapBnd", in: try run("--caps-remove=CAP_MKNOD,CAP_SYS_ADMIN", script: look)) == "00000000a00425fb")
        let retained = try run("--caps-retain=CAP_NET_ADMIN", script: look)
        #expect(status("CapBnd", in: retained) == "0000000000001000" && status("CapEff", in: retained) == "0000000000001000")
        // Another user than root may not use what it could have, and still may gain it by a file.
        let user = try run("--user=5", script: look)
        #expect(status("CapEff", in: user) == "0000000000000000" && status("CapBnd", in: user) == "00000000a80425fb" && status("NoNewPrivs", in: user) == "0")
        #expect(try run("--caps-retain=CAP_NOTHING", script: look).errors.contains("\"CAP_NOTHING\" is no capability"))
    }

    #if arch(x86_64)
        @Test func callsAsDockerFiltersThem() throws {
            let usual = try calls(
                "165", "272", "56,0x10000000", "435", "425", "250", "999", "41,40", "41,1", "135,0x40000", "135,0xffffffff", "332", "39", "246", "32:20",
                "32:21")
            let expected = [
                "165": "EPERM",  // mount
                "272": "EPERM",  // unshare
                "56,0x10000000": "EPERM",  // clone, a new user namespace
                "435": "ENOSYS",  // clone3
                "425": "EPERM",  // io_uring_setup
                "250": "EPERM",  // keyctl
                "999": "ENOSYS",  // of no kernel yet
                "41,40": "EPERM",  // socket, AF_VSOCK
                "41,1": "ESOCKTNOSUPPORT",  // socket, AF_UNIX: the kernel's own answer, as its type is 0
                "135,0x40000": "EPERM",  // personality
                "135,0xffffffff": "ok", "332": "EFAULT",  // statx: the kernel's answer
                "39": "ok", "246": "EPERM",  // getpid, kexec_load
                "32:20": "ok", "32:21": "EPERM",  // getpid and mount, by the 32-bit gate
            ]
            #expect(usual == expected)
            // A capability brings its calls along: mount(NULL, NULL) is then the kernel's to refuse.
            #expect(try calls("165", options: "--caps-retain=CAP_SYS_ADMIN")["165"] == "EFAULT")
        }

        @Test func setsOfCalls() throws {
            #expect(try calls("165", options: "--seccomp=mode=retain,@appc.io/all")["165"] == "EFAULT")
            #expect(try calls("250", options: "--seccomp=mode=retain,@appc.io/all")["250"] != "EPERM")
            #expect(try calls("250", options: "--seccomp=mode=remove,@appc.io/empty")["250"] == "EPERM")
            let removed = try calls("39", "250", options: "--seccomp=mode=remove,errno=ENOTSUP,getpid")
            #expect(removed["39"] == "EOPNOTSUPP" && removed["250"] != "EPERM")
            let retained = try calls("39", "90", options: "--seccomp=mode=retain,errno=ENOSPC,@docker/default-whitelist,keyctl")
            #expect(retained["39"] == "ok")
            // Without an error's name the kernel ends the app.
            #expect(try run("--seccomp=mode=remove,mkdir,mkdirat", script: "mkdir /x").status == 159)
            #expect(try run("--seccomp=mode=retain,@appc.io/empty", script: "true").status == 159)
            #expect(try run("--seccomp=mode=remove,@nobody/x", script: "true").errors.contains("no system call"))
        }
    #endif

    @Test func memoryAndProcessors() throws {
        let groups = "m=/sys/fs/cgroup/memory; cat /proc/self/cgroup /proc/self/oom_score_adj"
        let seen = try run("--memory=24Mi", "--cpu=15m", "--cpu-shares=512", "--oom-score-adj=77", script: groups)
        #expect(seen.status == 0 && seen.output.hasSuffix("\n77\n") && seen.output.contains(":memory:/\n"), "\(seen)")
        // More than the limit ends the app, and all of it.
        let killed = try run("--memory=24Mi", script: "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 3")
        #expect(killed.output.trimmingCharacters(in: .whitespacesAndNewlines) != "90000000", "\(killed)")
        #expect(try run(script: "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c").output == "90000000\n")
        #expect(try run("--memory=1", script: "true").errors.contains("too low"))
        try place.expectNoGroups()
    }

    @Test func podsBoundTheirApps() throws {
        func pod(_ memory: String) throws -> Outcome {
            let limit = { (amount: String) in #"{"name":"resource/memory","value":{"limit":"\#(amount)"}}"# }
            try """
            {"acKind":"PodManifest","acVersion":"0.8.11","isolators":[\(limit(memory))],"apps":[{"name":"a","image":{"id":"\(id)"},"app":{"exec":["/bin/sh","-c",
            "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c"],"user":"0","group":"0","isolators":[\(limit("1G"))]}}]}
            """.write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
            return try place.run("d2a", "run", "--rm", "--pod-manifest=pod.json")
        }
        #expect(try pod("512Mi").output == "90000000\n")
        #expect(try !pod("24Mi").output.contains("90000000"))
        try place.expectNothingLeft()
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/sys/fs/cgroup/cpu/cpu.shares"), "needs cgroup version 1"))
    func whatIsWrittenIsExact() throws {
        let values = try place.shell(
            """
            d2a run --uuid-file-save=uuid \(id) --memory=24Mi --cpu=15m --cpu-shares=512 -- sh -c 'echo up; sleep 100' >up & pod=$!
            for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done
            g=$(grep -h /app- $(grep -l . store/pods/run/*/cgroups)); cat $(echo "$g" | grep memory)/memory.limit_in_bytes
            cd $(echo "$g" | grep /cpu); cat cpu.cfs_quota_us cpu.cfs_period_us cpu.shares; wc -l <cgroup.procs
            cd $OLDPWD; kill -9 $pod; wait $pod 2>/dev/null
            for i in $(seq 100); do [ "$(d2a status $(cat uuid) | head -1)" = state=exited ] && break; sleep 0.05; done
            d2a gc --grace-period=0s >/dev/null
            """)
        #expect(values.output == "25165824\n1500\n100000\n512\n1\n", "\(values)")
        try place.expectNoGroups()
        try place.expectNothingLeft()
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/sys/fs/cgroup/devices/devices.list"), "needs cgroup version 1"))
    func devicesAreForbidden() throws {
        let outcome = try run(script: "mknod /dev/loop c 10 237 && head -c1 /dev/loop; head -c3 /dev/zero | wc -c; grep devices /proc/self/cgroup")
        #expect(outcome.errors.contains("/dev/loop: ") && outcome.output.hasPrefix("3\n"), "\(outcome)")
        // A device that is a volume may be used.
        let volume = try Lab.run(
            "d2a", ["run", "--rm", "--volume=k,kind=host,source=/dev/kmsg", id, "--mount=volume=k,target=/k", "--", "sh", "-c", "echo >/k && echo done"],
            environment: ["D2A_DIR": place.store])
        #expect(volume.output == "done\n" || !FileManager.default.isWritableFile(atPath: "/dev/kmsg"), "\(volume)")
    }

    /// The machine's disks are held to the limits, whoever starts the app; and what enters an app is in its groups.
    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: "/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device"), "needs cgroup version 1"),
        arguments: ["builtin", "runc", "chroot"])
    func blockDevices(stage1: String) throws {
        let isolators = [("resource/block-bandwidth", "3M"), ("resource/block-iops", "70")].map { name, limit in
            ["name": name, "value": ["default": true, "limit": limit]] as [String: Any]
        }
        let app: [String: Any] = ["exec": ["/bin/sh", "-c", "echo up; exec sleep 1000"], "user": "0", "group": "0", "isolators": isolators]
        let manifest: [String: Any] = ["acVersion": "0.8.11", "acKind": "PodManifest", "apps": [["name": "a", "image": ["id": id], "app": app]]]
        try JSONSerialization.data(withJSONObject: manifest).write(to: URL(fileURLWithPath: place.path + "/pod.json"))
        let outcome = try place.shell(
            """
            d2a run --rm --uuid-file-save=uuid --stage1=\(stage1) --pod-manifest=pod.json >out & until grep -q up out; do sleep 0.05; done
            group=$(find /sys/fs/cgroup/blkio -path "*/d2a-$(cat uuid)/app-a")
            for file in read_bps write_bps read_iops write_iops; do echo $file $(cut -d' ' -f2 "$group/blkio.throttle.${file}_device" | sort -u); done
            if [ \(stage1) = builtin ]; then
                d2a enter $(cat uuid) sh -c 'echo in; exec sleep 1000' >entered & until grep -q in entered; do sleep 0.05; done
                wc -l <"$group/cgroup.procs"; wc -l <"$(find /sys/fs/cgroup/devices -name "d2a-$(cat uuid)")/cgroup.procs"
            fi
            d2a stop --force $(cat uuid) >/dev/null; wait
            """)
        let limits = "read_bps 3000000\nwrite_bps 3000000\nread_iops 70\nwrite_iops 70\n"
        // The app, the entered program and what waits for that; the pod's process 1 is in its group beside them.
        #expect(outcome.output == limits + (stage1 == "builtin" ? "3\n4\n" : ""), "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func whatCannotBeEnforced() throws {
        var manifest = try #require(
            try JSONSerialization.jsonObject(with: Data(try place.run("d2a", "image", "cat-manifest", id).output.utf8)) as? [String: Any])
        var app = try #require(manifest["app"] as? [String: Any])
        app["exec"] = ["/bin/sh", "-c", "cat /proc/sys/kernel/shmmni"]
        app["isolators"] = [
            ["name": "os/linux/no-new-privileges", "value": true], ["name": "example.com/other", "value": [1]],
            ["name": "example.com/strange", "value": 1],
        ]
        manifest = [
            "acVersion": "0.8.11", "acKind": "PodManifest", "apps": [["name": "a", "image": ["id": id], "app": app]],
            "isolators": [["name": "os/unix/sysctl", "value": ["kernel.shmmni": "17", "kernel.hostname": "x"]]],
        ]
        try JSONSerialization.data(withJSONObject: manifest).write(to: URL(fileURLWithPath: place.path + "/pod.json"))
        let told = try place.run("d2a", "run", "--rm", "--pod-manifest=pod.json")
        #expect(told.status == 0 && told.output == "17\n", "\(told)")
        for name in ["example.com/other of the app a", "example.com/strange of the app a", "os/unix/sysctl kernel.hostname of the pod"] {
            #expect(told.errors.contains("the isolator \(name) is not enforced"), "\(told.errors)")
        }
        let refused = try place.run("d2a", "run", "--rm", "--strict", "--pod-manifest=pod.json")
        #expect(refused.status == 254 && refused.output == "" && refused.errors.contains("example.com/other"), "\(refused)")
        try place.expectNothingLeft()
    }
}
