import AppC
import Configuration

/// How web servers let us in that are no registries: rkt's `auth.d` of the kind `auth`, for images, signatures, keys and pages of discovery.
/// It never shows itself.
public struct WebAccess: Sendable, Codable, CustomStringConvertible, CustomReflectable {
    /// `Authorization` headers by `HOST[:PORT]`, without the port where it is that of HTTPS.
    private var headers: [String: String] = [:]
    /// Those that there is a way in for which we don't know, by type.
    private var unknown: [String: String] = [:]

    /// - Throws: `ConfigurationError`, ``CredentialError``
    public init(_ files: ConfigurationFiles) throws {
        for (domain, document) in try files.authentication("auth") {
            let credentials = document["credentials"]
            switch document["type"]?.string {
            case "basic":
                guard let user = credentials?["user"]?.string, let password = credentials?["password"]?.string,
                    case .basic(let encoded) = Credential(user: user, password: password)
                else { throw CredentialError.badFile(path: "what auth.d has for \(domain)") }
                headers[domain] = "Basic \(encoded)"
            case "oauth":
                guard let token = credentials?["token"]?.string, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                    throw CredentialError.badFile(path: "what auth.d has for \(domain)")
                }
                headers[domain] = "Bearer \(token)"
            case let type: unknown[domain] = type ?? "none"
            }
        }
    }

    /// The `Authorization` header for a host; nil where there is none. It is for that host alone, and not for plain HTTP.
    /// - Throws: ``CredentialError/unknownType(_:domain:)``
    public func authorization(for host: String) throws(CredentialError) -> String? {
        if let type = unknown[host] { throw .unknownType(type, domain: host) }
        return headers[host]
    }

    public var description: String { "access to \(headers.count) hosts" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
