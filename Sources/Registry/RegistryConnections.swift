import Threads
import Transport

/// What is known of registries, and the connections to them, for as long as this object lives: for those who ask for many images.
public final class RegistryConnections: Sendable {
    /// A registry that is spoken to in one way.
    struct Key: Hashable {
        var registry: String
        var allowHTTP: Bool
        var insecure: Bool
        /// As PEM.
        var roots: String?
        var certificate: String?
    }

    let limits: RequestLimits
    private let known = Monitor<[Key: RegistryConnection]>([:])

    /// - Parameter limits: of each registry, and of all together where they share a bandwidth.
    public init(limits: RequestLimits = RequestLimits()) { self.limits = limits }

    func connection(_ key: Key, _ make: () -> RegistryConnection) -> RegistryConnection {
        known.update { known in
            if let found = known[key] { return found }
            let made = make()
            known[key] = made
            return made
        }
    }
}

/// How a registry is reached.
final class RegistryConnection: Sendable {
    let http: HTTPClient
    /// `https://host:port`, once that is known.
    let base = Monitor<String?>(nil)

    init(_ options: TransportOptions) { http = HTTPClient(options) }
}
