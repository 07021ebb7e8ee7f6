import Cache
import Credentials
import Manifests

/// How a registry is asked.
public struct RegistryOptions: Sendable {
    /// Which image of several is wanted.
    public var platform: Platform
    public var insecureSkipVerify: Bool
    /// Plain HTTP is tried where HTTPS isn't spoken; on loopback it always is.
    public var allowHTTP: Bool
    /// How many layers are downloaded at once.
    public var jobs: Int
    public var credential: Credential? { access.credential }
    var tls: TLSMaterial? { access.tls }
    private let access: RegistryAccess
    public var version: ProtocolVersion
    /// Where blobs are kept for the next time.
    public var cache: BlobCache?

    /// Which of the two protocols is spoken.
    public enum ProtocolVersion: String, Sendable, CaseIterable {
        case v1, v2
        /// The second; where a registry doesn't speak it, or hasn't the image there, the first.
        case auto
    }

    public init(
        platform: Platform = .current, insecureSkipVerify: Bool = false, allowHTTP: Bool = false, jobs: Int = 3, access: RegistryAccess = RegistryAccess(),
        version: ProtocolVersion = .auto, cache: BlobCache? = nil
    ) {
        self.cache = cache
        self.version = version
        self.access = access
        self.platform = platform
        self.insecureSkipVerify = insecureSkipVerify
        self.allowHTTP = allowHTTP
        self.jobs = jobs
    }
}
