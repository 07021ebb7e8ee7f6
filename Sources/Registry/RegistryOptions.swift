import Cache
import Credentials
import Manifests
import Transport

/// How registries are asked.
public struct RegistryOptions: Sendable {
    /// Which image of several is wanted.
    public var platform: Platform
    /// Plain HTTP is tried where HTTPS isn't spoken (on loopback it always is), certificates, timeouts and repetitions.
    public var transport: TransportOptions
    /// How many layers are downloaded at once.
    public var jobs: Int
    public var version: ProtocolVersion
    /// Whether layers are only downloaded when they are wanted (``ImageSource/prefetch(_:)``).
    public var lazily = false
    /// Connections that others use too.
    public var connections: RegistryConnections?
    /// Where blobs are kept for the next time.
    public var cache: BlobCache?

    /// Which of the two protocols is spoken.
    public enum ProtocolVersion: String, Sendable, CaseIterable {
        case v1, v2
        /// The second; where a registry doesn't speak it, or hasn't the image there, the first.
        case auto
    }

    public init(
        platform: Platform = .current, transport: TransportOptions = TransportOptions(), jobs: Int = 3, version: ProtocolVersion = .auto,
        cache: BlobCache? = nil
    ) {
        self.cache = cache
        self.version = version
        self.platform = platform
        self.transport = transport
        self.jobs = jobs
    }
}
