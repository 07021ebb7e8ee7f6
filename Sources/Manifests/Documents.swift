/// What of images' documents is read (OCI image-spec `manifest.md`, `image-index.md`; Docker's schema 2 has the same shape).
public struct Descriptor: Decodable, Sendable {
    public struct Platform: Decodable, Sendable {
        public var os: String?
        public var architecture: String?
        public var variant: String?
    }
    public var mediaType: String?
    public var digest: String
    public var size: Int
    public var platform: Platform?
    /// Other places where the bytes may be (OCI image-spec `descriptor.md`).
    public var urls: [String]?

    /// Whether registries don't have it: its owner gives it out alone.
    public var isForeign: Bool { mediaType.map { $0.contains(".foreign.") || $0.contains(".nondistributable.") } ?? false }
}

/// A manifest or an index: which of the two shows in what it has.
public struct ManifestDocument: Decodable, Sendable {
    public var schemaVersion: Int?
    public var mediaType: String?
    public var config: Descriptor?
    public var layers: [Descriptor]?
    public var manifests: [Descriptor]?
}

public struct ConfigDocument: Decodable, Sendable {
    public struct RootFS: Decodable, Sendable { public var diff_ids: [String]? }
    public var rootfs: RootFS?
}
