import FoundationEssentials

/// What shows a registry who asks. It never shows itself: every description of it is the same.
public enum Credential: Sendable, Hashable, Codable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// `NAME:PASSWORD` in base64, as an `Authorization: Basic` header has it (RFC 7617).
    case basic(String)
    /// Given to the token service for a token (OAuth2 `refresh_token`).
    case identityToken(String)
    /// A token that the registry itself takes.
    case registryToken(String)

    public init(user: String, password: String) { self = .basic(Data("\(user):\(password)".utf8).base64EncodedString()) }

    public var description: String { "a credential" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
