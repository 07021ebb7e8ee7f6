/// Which networks a pod is in, as `--net` says it.
public enum NetworkChoice: Sendable, Equatable {
    case host
    case none
    /// Every configured one.
    case all
    case networks([NetworkRequest])

    public static let `default` = Self.networks([NetworkRequest(name: "default")])

    /// `host`, `none`, `all`, or `NAME[:KEY=VALUE;…],…`
    /// - Throws: ``NetworkError/badChoice(_:)``
    public init(argument text: String) throws(NetworkError) {
        switch text {
        case "host": self = .host
        case "none": self = .none
        case "all": self = .all
        case "": self = .default
        default:
            var requests: [NetworkRequest] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                let halves = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let arguments = halves.count == 2 ? halves[1] : ""
                guard !halves[0].isEmpty, !["host", "none", "all"].contains(halves[0]), !requests.contains(where: { $0.name == halves[0] }),
                    arguments.split(separator: ";").allSatisfy({ $0.contains("=") && !$0.hasPrefix("=") })
                else { throw .badChoice(text) }
                requests.append(NetworkRequest(name: halves[0], arguments: arguments))
            }
            self = .networks(requests)
        }
    }
}

/// A network by name, with arguments for its plugins (`CNI_ARGS`).
public struct NetworkRequest: Sendable, Equatable {
    public var name: String
    /// `KEY=VALUE;…`
    public var arguments = ""

    public init(name: String, arguments: String = "") { (self.name, self.arguments) = (name, arguments) }
}
