import AppC
import Pod

/// What isolators make of an app or a pod (appc spec `ace.md#isolators`).
public struct Isolation: Sendable, Equatable {
    public var capabilities = Capabilities.standard
    public var systemCalls = SystemCallPolicy.standard
    public var noNewPrivileges = false
    public var oomScoreAdjust: Int?
    public var resources = ResourceLimits()
    /// Bytes a second in each direction, on each network but loopback.
    public var networkBandwidth: Int64?
    /// What SELinux is to run the app as: `user:role:type:level`.
    public var selinuxContext: String?
    /// The name of a profile that AppArmor has loaded.
    public var appArmorProfile: String?
    /// Kernel parameters of the pod's own namespaces, by key.
    public var sysctl: [(key: String, value: String)] = []
    /// Names of isolators that are not enforced, of which the person must be told.
    public var unenforced: [String] = []

    public init() {}

    /// Isolators that are set and that only a process fenced in by them has; beside them are those of ``labels(inPod:)``.
    public var isolatorsOfSandbox: [String] {
        (capabilities != .standard ? ["os/linux/capabilities-…-set"] : []) + (systemCalls != .standard ? ["os/linux/seccomp-…-set"] : [])
            + (noNewPrivileges ? ["os/linux/no-new-privileges"] : [])
    }

    /// - Parameter pod: whether these are a pod's own isolators, and not an app's.
    /// - Throws: ``IsolationError``
    public init(_ isolators: [Isolator], pod: Bool = false) throws(IsolationError) {
        var seen: Set<String> = []
        var (retained, removed): (Capabilities?, Capabilities?) = (nil, nil)
        for isolator in isolators {
            let name = isolator.name
            func badValue() -> IsolationError { .badValue(isolator: name, value: (try? CanonicalJSON.text(isolator.value)) ?? "this") }
            func positiveLimit(_ amount: ResourceAmount) throws(IsolationError) -> Int64 {
                guard let limit = amount.limit?.units, limit > 0 else { throw badValue() }
                return limit
            }
            guard let value = IsolatorValue(isolator) else { throw badValue() }
            // Only capabilities add up.
            guard seen.insert(name).inserted || name.hasPrefix("os/linux/capabilities-") else { throw .twice(isolator: name) }
            switch value {
            case .memory(let amount):
                guard let limit = amount.limit?.units else { break }
                guard limit >= 4096 else { throw .tooLittleMemory(bytes: limit) }
                resources.memory = limit
            case .cpu(let amount): resources.processors = amount.limit
            case .cpuShares(let shares): resources.shares = shares
            case .retainCapabilities(let names): retained = try (retained ?? []).union(Self.capabilities(names))
            case .removeCapabilities(let names): removed = try (removed ?? []).union(Self.capabilities(names))
            case .retainSystemCalls(let set): systemCalls = try .retaining(set)
            case .removeSystemCalls(let set): systemCalls = try .removing(set)
            case .noNewPrivileges(let flag): noNewPrivileges = flag
            case .oomScoreAdjust(let score): oomScoreAdjust = score
            case .sysctl(let values) where pod:
                for (key, value) in values.sorted(by: { $0.key < $1.key }) {
                    if Self.isNamespaced(key), !value.utf8.contains(0) { sysctl.append((key, value)) } else { unenforced.append("\(name) \(key)") }
                }
            case .networkBandwidth(let amount): networkBandwidth = try positiveLimit(amount)
            // A request alone limits nothing.
            case .blockBandwidth(let amount): if amount.limit != nil { resources.blockBandwidth = try positiveLimit(amount) }
            case .blockOperations(let amount): if amount.limit != nil { resources.blockOperations = try positiveLimit(amount) }
            case .selinuxContext(let context): selinuxContext = context
            case .appArmorProfile(let profile): appArmorProfile = profile
            case .sysctl, .unknown: unenforced.append(name)
            }
            // What is an app's only means nothing for a pod.
            if pod, name.hasPrefix("os/linux/"), name != "os/linux/selinux-context", name != "os/linux/apparmor-profile" { unenforced.append(name) }
        }
        if retained != nil, removed != nil { throw .contradiction("os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set") }
        if seen.isSuperset(of: ["os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"]) {
            throw .contradiction("os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set")
        }
        if let retained { capabilities = retained }
        if let removed { capabilities.subtract(removed) }
    }

    private static func capabilities(_ names: [String]) throws(IsolationError) -> Capabilities {
        var result: Capabilities = []
        for name in names {
            guard let capability = Capabilities(name: name) else { throw .unknownCapability(name) }
            result.insert(capability)
        }
        return result
    }

    /// Whether a key belongs to namespaces that every pod has of its own (kernel documentation, `admin-guide/sysctl`). Those of
    /// networks are the pod's only where its network is.
    private static func isNamespaced(_ key: String) -> Bool {
        let parts = key.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-".contains($0)) } }) else { return false }
        return key.hasPrefix("net.") || key.hasPrefix("fs.mqueue.")
            || ["kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced"]
                .contains(key)
    }

    public static func == (a: Isolation, b: Isolation) -> Bool {
        (a.capabilities, a.systemCalls, a.noNewPrivileges, a.oomScoreAdjust, a.resources)
            == (b.capabilities, b.systemCalls, b.noNewPrivileges, b.oomScoreAdjust, b.resources)
            && (a.networkBandwidth, a.selinuxContext, a.appArmorProfile) == (b.networkBandwidth, b.selinuxContext, b.appArmorProfile)
            && a.unenforced == b.unenforced && a.sysctl.elementsEqual(b.sysctl, by: ==)
    }
}

/// What a control group holds an app or a pod to.
public struct ResourceLimits: Sendable, Equatable {
    /// Bytes.
    public var memory: Int64?
    /// Cores.
    public var processors: Quantity?
    /// 2 to 262144, 1024 where nothing is said.
    public var shares: Int?
    /// Bytes a second, of each block device and in each direction.
    public var blockBandwidth: Int64?
    /// The same in operations.
    public var blockOperations: Int64?

    public init() {}

    public var isEmpty: Bool { self == ResourceLimits() }

    /// Microseconds of each period that may be used, and the period: a period long enough that the kernel takes the quota (at least
    /// 1 ms, of at most 1 s).
    public var quota: (used: Int64, period: Int64)? {
        guard let processors else { return nil }
        func used(of period: Int64) -> Int64 { Int64(clamping: (processors.nano * Int128(period) + 999_999_999) / 1_000_000_000) }
        let period: Int64 = used(of: 100_000) >= 1000 ? 100_000 : 1_000_000
        return (max(1000, used(of: period)), period)
    }

    /// Shares as cgroup v2 has them: 1 to 10000 (kernel documentation, `admin-guide/cgroup-v2`; the conversion is that of OCI runtimes).
    public var weight: Int? { shares.map { 1 + ($0 - 2) * 9999 / 262142 } }
}
