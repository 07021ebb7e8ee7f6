import Observation

/// One thing that isn't the same in two processes' surroundings, or in how they ended.
struct ProcessFact {
    enum Aspect: String {
        case arguments, environment, directory, users, groups, umask, seccomp, signals, capabilities, limits, namespaces, mounts, propagation, devices, files,
            terminal
        case supplementaryGroups = "supplementary groups"
        case privileges = "new privileges"
        case controlGroups = "control groups"
        case controlGroupFiles = "control group files"
        case kernelPaths = "kernel paths"
        case hostName = "host name"
        case descriptors = "open files"
        case process
        case start, end, stop, output
    }

    var aspect: Aspect
    /// Which of them: a variable, a path; empty where there is one.
    var name: [UInt8]
    var left: [UInt8]?
    var right: [UInt8]?

    var nameText: String { String(decoding: name, as: UTF8.self) }
    func isLeft(_ text: String) -> Bool { left == Array(text.utf8) }
    func isRight(_ text: String) -> Bool { right == Array(text.utf8) }
    func rightBegins(_ text: String) -> Bool { right?.starts(with: text.utf8) ?? false }
    func isNamed(_ names: String...) -> Bool { names.contains { Array($0.utf8) == name } }
}

/// Collects facts: what is equal is none.
struct ProcessFacts {
    private(set) var all: [ProcessFact] = []
    private(set) var compared = 0

    mutating func compare(_ aspect: ProcessFact.Aspect, _ name: [UInt8] = [], _ left: [UInt8]?, _ right: [UInt8]?) {
        compared += 1
        if left != right { all.append(ProcessFact(aspect: aspect, name: name, left: left, right: right)) }
    }

    mutating func compare(_ aspect: ProcessFact.Aspect, _ name: String = "", _ left: String?, _ right: String?) {
        compare(aspect, Array(name.utf8), left.map { Array($0.utf8) }, right.map { Array($0.utf8) })
    }

    /// Members of both, sorted.
    mutating func compare(_ aspect: ProcessFact.Aspect, _ left: [ProbeText: [UInt8]], _ right: [ProbeText: [UInt8]]) {
        for name in Set(left.keys).union(right.keys).sorted() { compare(aspect, name.bytes, left[name], right[name]) }
    }

    mutating func compare(_ aspect: ProcessFact.Aspect, _ left: [String: String], _ right: [String: String]) {
        for name in Set(left.keys).union(right.keys).sorted() { compare(aspect, name, left[name], right[name]) }
    }

    // MARK: Surroundings

    mutating func compare(_ left: Surroundings, _ right: Surroundings, _ scene: ProcessScene) {
        compare(.arguments, Array("".utf8), Self.list(left.arguments), Self.list(right.arguments))
        compare(.environment, Self.variables(left), Self.variables(right))
        compare(.directory, Array("".utf8), left.directory.bytes, right.directory.bytes)
        compare(.users, "", Self.numbers(left.users), Self.numbers(right.users))
        compare(.groups, "", Self.numbers(left.groups), Self.numbers(right.groups))
        compare(.supplementaryGroups, "", Self.numbers(left.supplementaryGroups.sorted()), Self.numbers(right.supplementaryGroups.sorted()))
        compare(.umask, "", left.umask, right.umask)
        compare(.privileges, "no_new_privs", left.noNewPrivileges, right.noNewPrivileges)
        compare(.privileges, "securebits", String(left.secureBits), String(right.secureBits))
        compare(.seccomp, "", left.seccomp, right.seccomp)
        compare(.signals, "ignored", left.ignoredSignals, right.ignoredSignals)
        compare(.signals, "blocked", left.blockedSignals, right.blockedSignals)
        for (name, set) in Surroundings.CapabilitySets.all {
            compare(.capabilities, name, CapabilityNames.text(left.capabilities[keyPath: set]), CapabilityNames.text(right.capabilities[keyPath: set]))
        }
        compare(.limits, left.limits, right.limits)
        for kind in Set(left.namespaces.keys).union(right.namespaces.keys).sorted() {
            compare(.namespaces, kind, Self.namespace(kind, left, scene), Self.namespace(kind, right, scene))
        }
        compare(.controlGroups, Array("".utf8), left.controlGroups.bytes, right.controlGroups.bytes)
        compare(
            .controlGroupFiles, Dictionary(uniqueKeysWithValues: left.controlGroupLimits.map { (ProbeText($0), $1.bytes) }),
            Dictionary(uniqueKeysWithValues: right.controlGroupLimits.map { (ProbeText($0), $1.bytes) }))
        compareFiles(left, right)
        compare(.hostName, Array("".utf8), left.hostName.bytes, right.hostName.bytes)
        compare(.hostName, Array("domain".utf8), left.domainName.bytes, right.domainName.bytes)
        compare(.descriptors, Self.texts(left.descriptors), Self.texts(right.descriptors))
        compare(.terminal, "standard streams", Self.flags(left.terminal), Self.flags(right.terminal))
        compare(.terminal, "size", left.terminalSize, right.terminalSize)
        compare(.terminal, "controlling", left.controlsTerminal.map(String.init), right.controlsTerminal.map(String.init))
        compare(.process, "number", String(left.process), String(right.process))
        compare(.process, "leads its session", String(left.leadsSession), String(right.leadsSession))
        compare(.process, "niceness", String(left.niceness), String(right.niceness))
        compare(.process, "personality", String(left.personality), String(right.personality))
        compare(.process, Array("oom_score_adj".utf8), left.oomScoreAdjust?.bytes, right.oomScoreAdjust?.bytes)
        compare(.process, Array("security label".utf8), left.securityLabel?.bytes, right.securityLabel?.bytes)
    }

    private mutating func compareFiles(_ left: Surroundings, _ right: Surroundings) {
        func mounts(_ side: Surroundings) -> [ProbeText: SeenMount] {
            // What hides or protects a path of the kernel's is told by how that path appears.
            let seen = side.mounts.filter { mount in
                mount.point != ProbeText(RunConditions.probePath) && !mount.point.hasPrefix("/proc/")
                    && !(mount.point.hasPrefix("/sys/") && !mount.point.hasPrefix("/sys/fs/cgroup"))
            }
            // The last one on a point hides those before it.
            return Dictionary(seen.map { ($0.point, $0) }, uniquingKeysWith: { $1 })
        }
        let (a, b) = (mounts(left), mounts(right))
        compare(.mounts, a.mapValues { Array(Self.summary($0).utf8) }, b.mapValues { Array(Self.summary($0).utf8) })
        for point in Set(a.keys).intersection(b.keys).sorted() {
            compare(.propagation, String(decoding: point.bytes, as: UTF8.self), Self.propagation(a[point]!), Self.propagation(b[point]!))
        }
        compare(.devices, Self.devices(left), Self.devices(right))
        for path in left.kernelPaths.keys.sorted() where path != "/sys/fs/cgroup" {
            compare(.kernelPaths, path, left.kernelPaths[path]?.rawValue, right.kernelPaths[path]?.rawValue)
        }
        compare(.files, Self.texts(left.files), Self.texts(right.files))
    }

    private static func texts(_ members: [String: ProbeText]) -> [ProbeText: [UInt8]] {
        Dictionary(uniqueKeysWithValues: members.map { (ProbeText($0), $1.bytes) })
    }

    static func list(_ words: [ProbeText]) -> [UInt8] {
        Array(words.map { Array("\"".utf8) + $0.bytes + Array("\"".utf8) }.joined(separator: Array(" ".utf8)))
    }

    static func numbers(_ numbers: [UInt32]) -> String { numbers.map(String.init).joined(separator: " ") }

    private static func flags(_ flags: [Bool]) -> String { flags.map { $0 ? "terminal" : "no terminal" }.joined(separator: ", ") }

    private static func variables(_ side: Surroundings) -> [ProbeText: [UInt8]] {
        var result: [ProbeText: [UInt8]] = [:]
        for entry in side.environment {
            let name = entry.bytes.prefix { $0 != UInt8(ascii: "=") }
            let key = ProbeText(bytes: Array(name))
            // Of two with one name, what a program finds is the first.
            if result[key] == nil { result[key] = Array(entry.bytes.dropFirst(name.count + 1)) }
        }
        return result
    }

    static func namespace(_ kind: String, _ side: Surroundings, _ scene: ProcessScene) -> String? {
        side.namespaces[kind].map { $0 == scene.host.surroundings.namespaces[kind] ? "host" : "own" }
    }

    /// The type, and what of the options is about rights.
    private static func summary(_ mount: SeenMount) -> String {
        let options = mount.options.split(separator: ",")
        return ([mount.type] + ["ro", "rw", "nosuid", "nodev", "noexec"].filter { options.contains(Substring($0)) }).joined(separator: " ")
    }

    private static func propagation(_ mount: SeenMount) -> String { mount.propagates ? "shared" : "private" }

    private static func devices(_ side: Surroundings) -> [ProbeText: [UInt8]] {
        Dictionary(
            side.devices.map { seen in
                let parts = [seen.target == nil ? seen.mode : "link", seen.target == nil ? seen.owner : nil, seen.device].compactMap { $0 }
                return (seen.path, Array(parts.joined(separator: " ").utf8) + (seen.target.map { Array(" ".utf8) + $0.bytes } ?? []))
            }, uniquingKeysWith: { $1 })
    }
}

extension Surroundings.CapabilitySets {
    static let all: [(name: String, set: KeyPath<Self, String> & Sendable)] = [
        ("inheritable", \.inheritable), ("permitted", \.permitted), ("effective", \.effective), ("bounding", \.bounding), ("ambient", \.ambient),
    ]
}

/// Capabilities by name (linux/capability.h).
enum CapabilityNames {
    static let all = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
        "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN",
        "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE",
        "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
    ]

    static func contains(_ mask: String, _ number: Int) -> Bool { (UInt64(mask, radix: 16) ?? 0) >> UInt64(number) & 1 == 1 }

    static func text(_ mask: String) -> String {
        let names = all.indices.filter { contains(mask, $0) }.map { all[$0] }
        return names.isEmpty ? "none" : names.joined(separator: " ")
    }
}
