/// What an isolator says (appc spec `ace.md#isolators`).
public enum IsolatorValue: Sendable, Hashable {
    case memory(ResourceAmount)
    case cpu(ResourceAmount)
    case blockBandwidth(ResourceAmount)
    case blockOperations(ResourceAmount)
    case networkBandwidth(ResourceAmount)
    case retainCapabilities([String])
    case removeCapabilities([String])
    case retainSystemCalls(SystemCallSet)
    case removeSystemCalls(SystemCallSet)
    case noNewPrivileges(Bool)
    case oomScoreAdjust(Int)
    case cpuShares(Int)
    /// `user:role:type:level`
    case selinuxContext(String)
    case appArmorProfile(String)
    case sysctl([String: String])
    /// One that this program doesn't know, which the spec lets it ignore and tell.
    case unknown

    /// - Returns: nil where the value isn't what the spec says for this name.
    public init?(_ isolator: Isolator) {
        let value = isolator.value
        func amount(_ make: (ResourceAmount) -> Self) -> Self? { ResourceAmount(value).map(make) }
        func names(_ make: ([String]) -> Self) -> Self? { Self.names(value["set"]).map(make) }
        func calls(_ make: (SystemCallSet) -> Self) -> Self? {
            guard let names = Self.names(value["set"]) else { return nil }
            guard let code = value["errno"] else { return make(SystemCallSet(names: names, errno: nil)) }
            return code.string.map { make(SystemCallSet(names: names, errno: $0.isEmpty ? nil : $0)) }
        }
        let parsed: Self? =
            switch isolator.name {
            case "resource/memory": amount(Self.memory)
            case "resource/cpu": amount(Self.cpu)
            case "resource/block-bandwidth": amount(Self.blockBandwidth)
            case "resource/block-iops": amount(Self.blockOperations)
            case "resource/network-bandwidth": amount(Self.networkBandwidth)
            case "os/linux/capabilities-retain-set": names(Self.retainCapabilities)
            case "os/linux/capabilities-remove-set": names(Self.removeCapabilities)
            case "os/linux/seccomp-retain-set": calls(Self.retainSystemCalls)
            case "os/linux/seccomp-remove-set": calls(Self.removeSystemCalls)
            case "os/linux/no-new-privileges": if case .bool(let flag) = value { .noNewPrivileges(flag) } else { nil }
            case "os/linux/oom-score-adj": Self.number(value, -1000...1000).map(Self.oomScoreAdjust)
            case "os/linux/cpu-shares": Self.number(value, 2...262144).map(Self.cpuShares)
            case "os/linux/selinux-context": Self.context(value).map(Self.selinuxContext)
            case "os/linux/apparmor-profile": value["profile"]?.string.map(Self.appArmorProfile)
            case "os/unix/sysctl": Self.strings(value).map(Self.sysctl)
            default: .unknown
            }
        guard let parsed else { return nil }
        self = parsed
    }

    private static func names(_ value: JSONValue?) -> [String]? {
        guard case .array(let items)? = value, !items.isEmpty else { return nil }
        let names = items.compactMap(\.string)
        return names.count == items.count ? names : nil
    }

    private static func number(_ value: JSONValue, _ range: ClosedRange<Int64>) -> Int? {
        guard case .integer(let number) = value, range.contains(number) else { return nil }
        return Int(number)
    }

    private static func strings(_ value: JSONValue) -> [String: String]? {
        guard case .object(let members) = value else { return nil }
        let strings = members.compactMapValues(\.string)
        return strings.count == members.count ? strings : nil
    }

    private static func context(_ value: JSONValue) -> String? {
        let parts = ["user", "role", "type", "level"].compactMap { value[$0]?.string }
        return parts.count == 4 && parts.allSatisfy { !$0.isEmpty } ? parts.joined(separator: ":") : nil
    }
}

/// What is asked for of a resource: at least, and at most.
public struct ResourceAmount: Sendable, Hashable {
    public var request: Quantity?
    public var limit: Quantity?

    /// - Returns: nil where an amount isn't one, or is below zero. A request defaults to the limit.
    public init?(_ value: JSONValue) {
        guard case .object = value else { return nil }
        func quantity(_ name: String) -> Quantity?? {
            guard let member = value[name], member != .null else { return .some(nil) }
            guard let quantity = member.string.flatMap(Quantity.init), quantity.nano >= 0 else { return nil }
            return quantity
        }
        guard let limit = quantity("limit"), let request = quantity("request") else { return nil }
        (self.limit, self.request) = (limit, request ?? limit)
    }
}

/// System calls by name, wildcards such as `@appc.io/all` among them, and what the forbidden ones answer: an error's name, or nil
/// where the runtime chooses.
public struct SystemCallSet: Sendable, Hashable {
    public var names: [String]
    public var errno: String?

    public init(names: [String], errno: String?) { (self.names, self.errno) = (names, errno) }
}
