import Cache
import Credentials
import Manifests
import Registries
import Transport

/// How registries are asked.
public struct RegistryOptions: Sendable {
    /// Which image of several is wanted.
    public var platform: Platform
    /// Plain HTTP is tried where HTTPS isn't spoken (on loopback it always is), certificates, timeouts and repetitions.
    public var transport: TransportOptions
    /// How many layers are downloaded at once.
    public var jobs: Int
    public var version: RegistryVersion
    /// Whether layers are only downloaded when they are wanted (``ImageSource/prefetch(_:)``).
    public var lazily = false
    /// Connections that others use too.
    public var connections: RegistryConnections?
    /// Where blobs are kept for the next time.
    public var cache: BlobCache?

    public init(
        platform: Platform = .current, transport: TransportOptions = TransportOptions(), jobs: Int = 3, version: RegistryVersion = .auto,
        cache: BlobCache? = nil
    ) {
        self.cache = cache
        self.version = version
        self.platform = platform
        self.transport = transport
        self.jobs = jobs
    }
}
