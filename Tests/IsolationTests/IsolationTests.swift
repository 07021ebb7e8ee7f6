import AppC
import Files
import Foundation
import Pod
import Testing

@testable import Isolation

@Suite struct IsolationTests {
    private func isolator(_ name: String, _ json: String) throws -> Isolator {
        Isolator(name: name, value: try CanonicalJSON.decode(JSONValue.self, from: json.utf8))
    }

    private func isolation(_ isolators: (String, String)..., pod: Bool = false) throws -> Isolation {
        try Isolation(isolators.map { try isolator($0.0, $0.1) }, pod: pod)
    }

    @Test func capabilities() throws {
        #expect(try isolation().capabilities == .standard)
        let (remove, retain) = ("os/linux/capabilities-remove-set", "os/linux/capabilities-retain-set")
        #expect(try isolation((remove, #"{"set":["CAP_MKNOD","CAP_SYS_ADMIN"]}"#)).capabilities == Capabilities.standard.subtracting(.mknod))
        #expect(
            try isolation((retain, #"{"set":["CAP_NET_ADMIN"]}"#), (retain, #"{"set":["CAP_KILL"]}"#)).capabilities.names == ["CAP_KILL", "CAP_NET_ADMIN"])
        #expect(throws: IsolationError.contradiction(retain, remove)) {
            try isolation((retain, #"{"set":["CAP_KILL"]}"#), (remove, #"{"set":["CAP_KILL"]}"#))
        }
        #expect(throws: IsolationError.unknownCapability("CAP_NOTHING")) { try isolation((retain, #"{"set":["CAP_NOTHING"]}"#)) }
        for json in [#"{"set":[]}"#, #"{"set":[1]}"#, "true", "{}"] { #expect(throws: IsolationError.self) { try isolation((retain, json)) } }
    }

    @Test func limitsAreExact() throws {
        let limits = try isolation(
            ("resource/memory", #"{"limit":"64Mi"}"#), ("resource/cpu", #"{"request":"10m","limit":"15m"}"#), ("os/linux/cpu-shares", "512")
        ).resources
        #expect(limits.memory == 64 << 20 && limits.shares == 512 && limits.weight == 20)
        #expect(limits.quota! == (1500, 100_000))
        func quota(_ limit: String) throws -> (used: Int64, period: Int64) {
            try #require(try isolation(("resource/cpu", #"{"limit":"\#(limit)"}"#)).resources.quota)
        }
        #expect(try quota("2") == (200_000, 100_000))
        #expect(try quota("333.33m") == (33_333, 100_000))
        // Below what the kernel takes of the usual period a longer one serves.
        #expect(try quota("5m") == (5000, 1_000_000))
        #expect(try quota("1u") == (1000, 1_000_000))
        #expect(throws: IsolationError.tooLittleMemory(bytes: 1)) { try isolation(("resource/memory", #"{"limit":"1"}"#)) }
        #expect(throws: IsolationError.self) { try isolation(("resource/memory", #"{"limit":"-5M"}"#)) }
        #expect(throws: IsolationError.twice(isolator: "os/linux/cpu-shares")) { try isolation(("os/linux/cpu-shares", "2"), ("os/linux/cpu-shares", "3")) }
    }

    @Test func whatIsNotEnforcedIsSaid() throws {
        let unenforced = try isolation(
            ("example.com/other", #"{"default":true}"#), ("example.com/own", "1"), ("os/linux/no-new-privileges", "true"))
        #expect(unenforced.unenforced == ["example.com/other", "example.com/own"])
        #expect(unenforced.noNewPrivileges)
        let pod = try isolation(("os/unix/sysctl", #"{"kernel.shmmax":"5","kernel.core_pattern":"|/x","net.core.somaxconn":"9","net../x":"1"}"#), pod: true)
        #expect(pod.sysctl.map(\.key) == ["kernel.shmmax", "net.core.somaxconn"])
        #expect(pod.unenforced == ["os/unix/sysctl kernel.core_pattern", "os/unix/sysctl net../x"])
    }

    @Test func policies() throws {
        func policy(_ name: String, _ json: String) throws -> SystemCallPolicy { try isolation(("os/linux/seccomp-\(name)-set", json)).systemCalls }
        #expect(try isolation().systemCalls == .standard)
        #expect(try policy("retain", #"{"set":["@appc.io/all","read"]}"#) == .all)
        #expect(try policy("retain", #"{"set":["@appc.io/empty"]}"#) == .only([], errno: nil, newer: false))
        #expect(try policy("remove", #"{"set":["@appc.io/empty","read"]}"#) == .standard)
        #expect(try policy("remove", #"{"set":["@appc.io/all"],"errno":"EPERM"}"#) == .only([], errno: "EPERM", newer: false))
        #expect(try policy("remove", #"{"set":["read"],"errno":""}"#) == .allBut(["read"], errno: nil))
        guard case .only(let names, _, true) = try policy("retain", #"{"set":["@rkt/default-whitelist"]}"#) else { throw IsolationError.filter(code: 0) }
        #expect(names.contains("statx") && names.contains("rseq") && names.contains("socket") && !names.contains("mount"))
        #expect(throws: IsolationError.unknownCall("@other/set")) { try policy("retain", #"{"set":["@other/set"]}"#) }
    }

    @Test func everySetCompiles() throws {
        let names = [
            "@docker/default-whitelist", "@docker/default-blacklist", "@rkt/default-whitelist", "@rkt/default-blacklist", "@systemd/clock",
            "@systemd/default-whitelist", "@systemd/mount", "@systemd/network-io", "@systemd/obsolete", "@systemd/privileged", "@systemd/process",
            "@systemd/raw-io",
        ]
        for name in names {
            for mode in ["retain", "remove"] {
                let policy = try isolation(("os/linux/seccomp-\(mode)-set", #"{"set":["\#(name)"],"errno":"ENOTSUP"}"#)).systemCalls
                let program = try SystemCallFilter.program(policy, capabilities: .standard)
                #expect((program?.count ?? 0) > 64, "\(name)")
            }
        }
        #expect(throws: IsolationError.unknownCall("no_such_call")) {
            try SystemCallFilter.program(.only(["no_such_call"], errno: nil, newer: false), capabilities: .standard)
        }
        #expect(throws: IsolationError.unknownErrno("ENOTHING")) {
            try SystemCallFilter.program(.only(["read"], errno: "ENOTHING", newer: false), capabilities: .standard)
        }
        #expect(ErrorNumber.named("EHWPOISON") == 133 && ErrorNumber.named("ENOTSUP") == 95 && ErrorNumber.named("EPERM") == 1)
    }

    @Test func runtimesAreToldTheSame() throws {
        func rules(_ policy: SystemCallPolicy, _ capabilities: Capabilities = .standard) throws -> (SystemCallPolicy.Rules?, Bool) {
            try policy.rulesForRuntime(capabilities)
        }
        #expect(try rules(.all).0 == nil)
        let (usual, isWider) = try rules(.standard)
        let first = try #require(usual?.syscalls.first)
        #expect(!isWider && usual?.defaultAction == "SCMP_ACT_ERRNO" && usual?.defaultErrnoRet == 1 && first.action == "SCMP_ACT_ALLOW")
        #expect(first.names.contains("statx") && !first.names.contains("mount"))
        #expect(try rules(.standard, .named("CAP_SYS_ADMIN")).0?.syscalls[0].names.contains("mount") == true)
        let (kept, keptIsWider) = try rules(.only(["read"], errno: nil, newer: false))
        #expect(keptIsWider && kept?.defaultAction == "SCMP_ACT_KILL_PROCESS" && kept?.syscalls[0].names.contains("capset") == true)
        let (removed, removedIsWider) = try rules(.allBut(["setuid", "chmod"], errno: "ENOSPC"))
        #expect(removedIsWider && removed?.syscalls[0].names.contains("setuid") == false && removed?.syscalls[0].errnoRet == 28)
        #expect(try rules(.allBut(["chmod"], errno: nil)).1 == false)
    }

    @Test func filtersAreKept() throws {
        let path = "/tmp/d2a-filters-\(UInt64.random(in: 0...UInt64.max))"
        let cache = try Directory.make(path)
        defer { try? Directory.open("/tmp").removeTree(String(path.dropFirst(5))) }
        let made = try SystemCallFilter.program(.standard, capabilities: .standard, cache: cache)
        let directory = try cache.directory("filters")
        let name = try #require(try directory.names().first)
        #expect(try SystemCallFilter.program(.standard, capabilities: .standard, cache: cache) == made)
        // More rights are another filter, and a file that isn't ours alone, or is for another key, is none.
        #expect(try SystemCallFilter.program(.standard, capabilities: Capabilities(rawValue: ~0), cache: cache) != made)
        let names = try directory.names()
        #expect(names.count == 2)
        let other = try #require(names.first { $0 != name })
        try directory.rename(other, to: directory, as: name)
        #expect(try SystemCallFilter.program(.standard, capabilities: .standard, cache: cache) == made)
    }

    // MARK: Control groups

    @Test func layouts() {
        let mounts1 = """
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
            35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
            """
        let groups1 = "9:name=systemd:/\n4:memory:/docker/x/inner\n1:cpu,cpuacct:/own\n0::/\n"
        let hybrid = ControlGroupLayout(mounts: mounts1, groups: groups1, isRoot: true) { _ in "" }
        #expect(hybrid.version1["cpu"] == "/sys/fs/cgroup/cpu,cpuacct/own")
        #expect(hybrid.version1["memory"] == "/sys/fs/cgroup/memory/inner")
        #expect(hybrid.base == "/inner" && hybrid.hierarchies == ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"])
        #expect(hybrid.version2 == "/sys/fs/cgroup/unified" && hybrid.version2Controllers.isEmpty)

        let mounts2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
        let groups2 = "0::/user.slice/user-1000.slice/user@1000.service/app.slice\n"
        let root = ControlGroupLayout(mounts: mounts2, groups: groups2, isRoot: true) { $0 == "/sys/fs/cgroup" ? "cpuset cpu io memory pids\n" : "" }
        #expect(root.version1.isEmpty && root.version2 == "/sys/fs/cgroup" && root.version2Controllers.contains("memory"))
        let user = ControlGroupLayout(mounts: mounts2, groups: groups2, isRoot: false) { _ in "memory pids" }
        #expect(user.version2 == "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice")
    }

    @Test func blockDevicesAndLabels() throws {
        let amount = #"{"default":true,"limit":"2Mi"}"#
        let app = try isolation(("resource/block-bandwidth", amount), ("os/linux/apparmor-profile", #"{"profile":"own"}"#))
        #expect(app.resources.blockBandwidth == 2 << 20 && app.resources.blockOperations == nil && !app.resources.isEmpty)
        #expect(throws: IsolationError.self) { try isolation(("resource/block-iops", #"{"default":true,"limit":"0"}"#)) }
        let context = #"{"user":"u","role":"r","type":"t","level":"s0"}"#
        let pod = try isolation(("os/linux/selinux-context", context), ("os/linux/apparmor-profile", #"{"profile":"pods"}"#), pod: true)
        #expect(pod.unenforced.isEmpty)
        #expect(app.labels(inPod: pod).map(\.module) == [.selinux, .appArmor] && app.labels(inPod: pod).map(\.label) == ["u:r:t:s0", "own"])
        #expect(app.isolatorsOfSandbox.isEmpty)
        #expect(BlockDevice("254:16\n")?.description == nil && BlockDevice("254:16")?.description == "254:16")
    }

    @Test func groupsOfWhatEnters() throws {
        let root = NSTemporaryDirectory() + "d2a-groups-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        // Version 1: the app has a group for memory, the pod alone one for devices. Version 2: processes are in leaves.
        let made = ["memory/d2a-u", "memory/d2a-u/app-a", "devices/d2a-u", "v2/d2a-u", "v2/d2a-u/init", "v2/d2a-u/app-b", "cpu/d2a-u"].map { "\(root)/\($0)" }
        for directory in made where !directory.hasPrefix("\(root)/cpu") {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            for file in directory.contains("/v2/") ? ["cgroup.procs"] : ["cgroup.procs", "tasks"] {
                try Data().write(to: URL(fileURLWithPath: "\(directory)/\(file)"))
            }
        }
        let files = try PodControlGroups.entrances(to: "a", among: made).map { $0.path.dropFirst(root.count + 1) }
        #expect(files == ["memory/d2a-u/app-a/tasks", "devices/d2a-u/tasks", "v2/d2a-u/init/cgroup.procs"])
    }

    @Test func whatNoControllerEnforcesIsSaid() throws {
        var groups = PodControlGroups(ControlGroupLayout(mounts: "", groups: "", isRoot: true) { _ in "" }, uuid: "u") { _ in }
        var limits = ResourceLimits()
        (limits.memory, limits.shares) = (1 << 20, 5)
        try groups.makePod(limits, appsHaveLimits: true, devices: [])
        #expect(try groups.makeApp("a", limits).isEmpty)
        #expect(
            groups.unenforced.map { String($0.prefix { $0 != "(" }) } == [
                "resource/memory of the pod ", "resource/cpu of the pod ", "resource/memory of the app a ", "resource/cpu of the app a ",
            ])
        #expect(groups.directories.isEmpty && groups.joined.isEmpty)
    }
}
