import Files

/// A file of a place where images are published.
public struct PublishedFile: Sendable, Hashable, Codable {
    /// With slashes.
    public var name: String
    /// Bytes.
    public var size: Int

    public init(name: String, size: Int) { (self.name, self.size) = (name, size) }
}

/// Where images are published.
public protocol PublishingPlace {
    /// Makes a file's bytes those of another, in one step, unless they are already.
    /// - Parameter name: with slashes.
    func put(_ file: OpenFile, as name: String) throws
    /// The bytes of a small file; nil where there is none.
    func read(_ name: String) throws -> [UInt8]?
    /// All that is there.
    func files() throws -> [PublishedFile]
}

extension PublishingPlace {
    public func put(_ bytes: [UInt8], as name: String) throws { try put(OpenFile.inMemory(name, bytes), as: name) }
}

/// What web servers say of a published file, `Content-Type`.
public func mediaType(ofPublished name: String) -> String {
    if name.hasSuffix(".html") { return "text/html; charset=utf-8" }
    if name.hasSuffix(".asc") { return name.hasPrefix(DiscoveryPage.keys + "/") ? "application/pgp-keys" : "application/pgp-signature" }
    return "application/octet-stream"
}
