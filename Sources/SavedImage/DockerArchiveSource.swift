import AppC
import Digest
import Files
import Hashing
import Image
import Manifests
import Reference

/// An image in a file that `docker save` wrote, or a tool that writes the same (skopeo, buildah, bazel).
public final class DockerArchiveSource: ImageSource {
    private let described: SourceImage
    private let blobs: [LayerBlob]

    /// One image of `manifest.json`.
    private struct ManifestItem: Decodable {
        var Config: String
        var RepoTags: [String]?
        var Layers: [String]
    }

    /// - Parameter wanted: `NAME[:TAG]`, needed where the archive holds several images.
    /// - Throws: ``SavedImageError``, `FileError`, `ArchiveError`.
    init(_ tree: ArchiveTree, manifest: [UInt8], image wanted: String?) throws {
        let path = tree.path
        let item = try Self.choose(tree.decoded([ManifestItem].self, "manifest.json", manifest), wanted: wanted, path: path)
        guard let config = try tree.bytes(item.chosen.Config) else { throw SavedImageError.missing(path: path, member: item.chosen.Config) }
        let digest = StreamHasher.digest(config)
        // `<hex>.json` or `blobs/sha256/<hex>`: the name says what the bytes must be.
        let stem = item.chosen.Config.split(separator: "/").last?.split(separator: ".").first ?? ""
        if let named = Digest(algorithm: .sha256, hex: stem), named != digest {
            throw SavedImageError.wrongDigest(path: path, member: item.chosen.Config, actual: digest)
        }
        let diffIDs = try tree.decoded(ConfigDocument.self, item.chosen.Config, config).rootfs?.diff_ids ?? []
        guard diffIDs.count == item.chosen.Layers.count else {
            throw SavedImageError.invalid(path: path, reason: "the configuration names \(diffIDs.count) layers, manifest.json \(item.chosen.Layers.count)")
        }
        var blobs: [LayerBlob] = []
        var layers: [LayerDescriptor] = []
        for (name, diffID) in zip(item.chosen.Layers, diffIDs) {
            guard let found = try tree.blob(name) else { throw SavedImageError.missing(path: path, member: name) }
            guard let diffID = Digest(diffID) else { throw SavedImageError.invalid(path: path, reason: "\"\(diffID)\" is not a diff ID") }
            blobs.append(found)
            layers.append(LayerDescriptor(digest: nil, diffID: diffID, size: found.length))
        }
        self.blobs = blobs
        described = SourceImage(name: SavedName.docker(item.tag, path: path), config: config, id: digest.description, manifestDigest: nil, layers: layers)
    }

    public func image() -> SourceImage { described }

    public func blob(_ index: Int) -> LayerBlob { blobs[index] }

    private static func choose(_ items: [ManifestItem], wanted: String?, path: String) throws -> (chosen: ManifestItem, tag: String?) {
        let names = items.map { $0.RepoTags?.first ?? $0.Config }
        guard let wanted else {
            guard items.count <= 1 else { throw SavedImageError.severalImages(path: path, names: names) }
            guard let only = items.first else { throw SavedImageError.notAnImage(path: path) }
            return (only, only.RepoTags?.first)
        }
        let full = SavedName.tagged(wanted)
        for item in items {
            if let tag = item.RepoTags?.first(where: { $0 == full }) { return (item, tag) }
        }
        // Tools write names of the hub in full (`docker.io/library/busybox:latest`); people don't.
        if let name = try? ImageReference(wanted) {
            for item in items {
                for tag in item.RepoTags ?? [] {
                    guard let other = try? ImageReference(tag) else { continue }
                    if (other.registry, other.repository, other.tag) == (name.registry, name.repository, name.tag) { return (item, tag) }
                }
            }
        }
        throw SavedImageError.noSuchImage(path: path, name: wanted, names: names)
    }
}
