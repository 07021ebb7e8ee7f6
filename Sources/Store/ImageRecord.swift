import AppC

/// What the store knows of an image besides its bytes.
public struct ImageRecord: Sendable, Hashable, Codable {
    /// `sha512-…` in full.
    public var id: String
    /// `sha256-…` of the same bytes.
    public var sha256: String
    /// The manifest's name and label `version`.
    public var name: String
    public var version: String?
    /// All labels of the manifest.
    public var labels: [NamedValue]?
    /// Bytes of the uncompressed tar.
    public var size: Int
    /// When it was last fetched, in seconds since 1970.
    public var importTime: Int
    /// Whether discovery gave it to somebody who named no version.
    public var latest: Bool?
    /// The URLs that it was fetched from.
    public var remotes: [RemoteCopy]?
    /// When it was last used, in seconds since 1970: the time of the record's file. In no file itself.
    public var lastUse: Int?

    public init(id: String, sha256: String, manifest: ImageManifest, size: Int, importTime: Int) {
        self.id = id
        self.sha256 = sha256
        name = manifest.name
        version = manifest.label("version")
        labels = manifest.labels
        self.size = size
        self.importTime = importTime
    }

    private enum CodingKeys: String, CodingKey { case id, sha256, name, version, labels, size, importTime, latest, remotes }

    /// `NAME[:VERSION]`
    public var displayName: String { version.map { "\(name):\($0)" } ?? name }

    /// Whether it has all these labels, with these values.
    public func has(_ wanted: [NamedValue]) -> Bool { wanted.allSatisfy { (labels ?? []).contains($0) } }

    /// What is known now, after the image was fetched once more.
    func merged(with older: ImageRecord) -> ImageRecord {
        var result = self
        if older.latest == true { result.latest = true }
        for remote in older.remotes ?? [] where !(remotes ?? []).contains(where: { $0.url == remote.url }) {
            result.remotes = (result.remotes ?? []) + [remote]
        }
        return result
    }
}

/// An image as a web server has it, and what that said of it (RFC 9111).
public struct RemoteCopy: Sendable, Hashable, Codable {
    public var url: String
    public var etag: String?
    public var lastModified: String?
    /// Seconds for which nobody needs to ask again.
    public var maxAge: Int?
    /// When it was last asked for, in seconds since 1970.
    public var downloadTime: Int
    /// Whether its signature was checked then.
    public var verified: Bool

    public init(url: String, etag: String? = nil, lastModified: String? = nil, maxAge: Int? = nil, downloadTime: Int, verified: Bool) {
        self.url = url
        self.etag = etag
        self.lastModified = lastModified
        self.maxAge = maxAge
        self.downloadTime = downloadTime
        self.verified = verified
    }

    /// Whether the server need not be asked.
    public func isFresh(at time: Int) -> Bool { maxAge.map { time >= downloadTime && time - downloadTime < $0 } ?? false }
}
