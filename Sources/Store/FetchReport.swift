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

/// What the process that downloaded something says of it.
public struct DownloadReport: Sendable, Codable {
    /// As HTTP has it: 200, also where a download was gone on with; 304, 404 …
    public var status: Int
    public var etag: String?
    public var lastModified: String?
    /// Seconds for which nobody needs to ask again.
    public var maxAge: Int?
    /// Of what belongs to it, where that was asked for.
    public var signatureStatus: Int?

    public init(status: Int, etag: String? = nil, lastModified: String? = nil, maxAge: Int? = nil, signatureStatus: Int? = nil) {
        (self.status, self.etag, self.lastModified, self.maxAge, self.signatureStatus) = (status, etag, lastModified, maxAge, signatureStatus)
    }
}
