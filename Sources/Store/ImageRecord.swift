/// What the store knows of an image besides its bytes.
public struct ImageRecord: Sendable, Hashable, Codable {
    /// `sha512-…` in full.
    public var id: String
    /// `sha256-…` of the same bytes.
    public var sha256: String
    /// The manifest's name and label `version`.
    public var name: String
    public var version: String?
    /// Bytes of the uncompressed tar.
    public var size: Int
    /// Seconds since 1970.
    public var importTime: Int

    public init(id: String, sha256: String, name: String, version: String?, size: Int, importTime: Int) {
        self.id = id
        self.sha256 = sha256
        self.name = name
        self.version = version
        self.size = size
        self.importTime = importTime
    }

    /// `NAME[:VERSION]`
    public var displayName: String { version.map { "\(name):\($0)" } ?? name }
}
