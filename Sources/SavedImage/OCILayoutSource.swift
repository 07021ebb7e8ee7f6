import AppC
import Digest
import Files
import Hashing
import Image
import Manifests

/// An image in an OCI layout, a directory or its tar (OCI image-spec `image-layout.md`).
public final class OCILayoutSource: ImageSource {
    private let tree: any BlobTree
    private let described: SourceImage

    private struct Index: Decodable {
        struct Entry: Decodable {
            var digest: String
            var annotations: [String: String]?
        }
        var manifests: [Entry]
    }

    private static let names = ["org.opencontainers.image.ref.name", "io.containerd.image.name"]

    /// - Parameters:
    ///   - wanted: the `ref.name` of one of several images, or the digest of its manifest.
    ///   - platform: which image of an index.
    /// - Throws: ``SavedImageError``, `SourceError`, `FileError`.
    init(_ tree: any BlobTree, index: [UInt8], image wanted: String?, platform: Platform) throws {
        self.tree = tree
        let path = tree.path
        let entries = try tree.decoded(Index.self, "index.json", index).manifests
        func names(_ entry: Index.Entry) -> [String] { Self.names.compactMap { entry.annotations?[$0] } }
        let known = entries.map { names($0).first ?? $0.digest }
        var chosen = entries.first
        if let wanted {
            chosen = entries.first { names($0).contains(wanted) || $0.digest == wanted }
            guard chosen != nil else { throw SavedImageError.noSuchImage(path: path, name: wanted, names: known) }
        } else if entries.count > 1 {
            throw SavedImageError.severalImages(path: path, names: known)
        }
        guard let chosen, let digest = Digest(chosen.digest) else { throw SavedImageError.invalid(path: path, reason: "its index.json names no image") }
        func bytes(_ digest: Digest) throws -> [UInt8] {
            guard let bytes = try tree.bytes(Self.name(digest)) else { throw SavedImageError.missing(path: path, member: Self.name(digest)) }
            let actual = StreamHasher.digest(bytes, digest.algorithm)
            guard actual == digest else { throw SavedImageError.wrongDigest(path: path, member: Self.name(digest), actual: actual) }
            return bytes
        }
        let found = try ResolvedImage(bytes(digest), name: path, platform: platform) {
            try bytes($0)
        } config: {
            try bytes($1)
        }
        described = SourceImage(
            name: SavedName.layout(names(chosen).last, path: path), config: found.config, id: found.configDigest.description, manifestDigest: digest,
            layers: found.layers)
    }

    public func image() -> SourceImage { described }

    /// The layer is checked by its diff ID when it is read.
    public func blob(_ index: Int) throws -> LayerBlob {
        let name = Self.name(described.layers[index].digest!)
        guard let blob = try tree.blob(name) else { throw SavedImageError.missing(path: tree.path, member: name) }
        return blob
    }

    private static func name(_ digest: Digest) -> String { "blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }
}
