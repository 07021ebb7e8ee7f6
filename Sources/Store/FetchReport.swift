/// What the process that fetched an image tells the one that keeps it.
public struct FetchReport: Sendable, Codable {
    /// `sha512-…` and `sha256-…` of the uncompressed tar.
    public var id: String
    public var sha256: String
    /// The manifest, byte for byte.
    public var manifest: String

    public init(id: String, sha256: String, manifest: String) {
        self.id = id
        self.sha256 = sha256
        self.manifest = manifest
    }
}
