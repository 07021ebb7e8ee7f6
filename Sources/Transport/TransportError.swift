import Diagnostics

/// A request that brought no answer.
public enum TransportError: DiagnosedError, Equatable {
    /// No connection: nobody listens, the name is unknown, the network is down.
    case unreachable(WebAddress, reason: String)
    /// The other side's certificate or TLS is not acceptable.
    case insecure(WebAddress, reason: String)
    /// The connection broke, or nothing came for too long.
    case interrupted(WebAddress, reason: String)
    /// A redirect to nowhere, to plain HTTP, or the eleventh.
    case badRedirect(WebAddress, reason: String)
    /// More bytes than the answer may have.
    case tooLong(WebAddress, limit: Int)

    public var diagnosis: Diagnosis {
        switch self {
        case .unreachable(let address, let reason):
            Diagnosis("can't reach \(address.host):\(address.port): \(reason)", hint: "check the name and the network, and whether the registry runs")
        case .insecure(let address, let reason):
            Diagnosis(
                "\(address.host):\(address.port) can't be trusted: \(reason)",
                hint: "if it speaks plain HTTP use --insecure-allow-http; --insecure-skip-verify takes any certificate")
        case .interrupted(let address, let reason): Diagnosis("\(address): the transfer broke off: \(reason)", hint: "run the command again")
        case .badRedirect(let address, let reason): Diagnosis("\(address): \(reason)", hint: "the registry is set up wrongly: tell whoever runs it")
        case .tooLong(let address, let limit): Diagnosis("\(address): the answer is longer than \(limit) bytes", hint: "the registry is broken or hostile")
        }
    }

    /// What happened, without the address.
    public var reason: String {
        switch self {
        case .unreachable(_, let reason), .insecure(_, let reason), .interrupted(_, let reason), .badRedirect(_, let reason): reason
        case .tooLong(_, let limit): "the answer is longer than \(limit) bytes"
        }
    }

    /// Whether the same request may do better a moment later.
    public var isPassing: Bool {
        switch self {
        case .interrupted: true
        default: false
        }
    }
}
