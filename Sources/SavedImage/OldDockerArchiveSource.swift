import AppC
import Files
import Image

/// An image in a file as `docker save` wrote it before 1.10: a directory for each image, which stands on its parent, and no digest.
public final class OldDockerArchiveSource: ImageSource {
    private let described: SourceImage
    private let blobs: [LayerBlob]

    private struct Document: Decodable {
        var id: String
        var parent: String?
    }

    /// - Parameter wanted: `NAME[:TAG]`, needed where the archive holds several images.
    /// - Throws: ``SavedImageError``, `FileError`, `ArchiveError`.
    init(_ tree: ArchiveTree, image wanted: String?) throws {
        let path = tree.path
        func invalid(_ reason: String) -> SavedImageError { .invalid(path: path, reason: reason) }
        var tags: [String: String] = [:]
        if let bytes = try tree.bytes("repositories") {
            for (name, versions) in try tree.decoded([String: [String: String]].self, "repositories", bytes) {
                for (tag, id) in versions { tags["\(name):\(tag)"] = id }
            }
        }
        var documents: [String: (document: Document, json: [UInt8])] = [:]
        for id in tree.directories(with: "json") {
            guard let json = try tree.bytes("\(id)/json") else { continue }
            documents[id] = (try tree.decoded(Document.self, "\(id)/json", json), json)
        }
        let (id, tag) = try Self.choose(tags, documents.mapValues(\.document), wanted: wanted, path: path)

        var blobs: [LayerBlob] = []
        var layers: [LayerDescriptor] = []
        var seen: Set<String> = []
        var next: String? = id
        while let current = next {
            guard LegacyID.isValid(current) else { throw invalid("\"\(current)\" is not the id of an image") }
            guard seen.insert(current).inserted else { throw invalid("the parents of \(id) go in a circle") }
            guard let (document, _) = documents[current] else { throw SavedImageError.missing(path: path, member: "\(current)/json") }
            guard document.id == current else { throw invalid("\(current)/json is of another image") }
            guard let layer = try tree.blob("\(current)/layer.tar") else { throw SavedImageError.missing(path: path, member: "\(current)/layer.tar") }
            blobs.insert(layer, at: 0)
            layers.insert(LayerDescriptor(digest: nil, diffID: nil, size: layer.length, imageID: current), at: 0)
            next = document.parent.flatMap { $0.isEmpty ? nil : $0 }
        }
        self.blobs = blobs
        described = SourceImage(name: SavedName.docker(tag, path: path), config: documents[id]!.json, id: id, manifestDigest: nil, layers: layers)
    }

    public func image() -> SourceImage { described }

    public func blob(_ index: Int) -> LayerBlob { blobs[index] }

    private static func choose(_ tags: [String: String], _ documents: [String: Document], wanted: String?, path: String) throws -> (id: String, tag: String?) {
        let names = tags.keys.sorted()
        if let wanted {
            let full = SavedName.tagged(wanted)
            if let id = tags[full] { return (id, full) }
            if documents[wanted] != nil { return (wanted, nil) }
            throw SavedImageError.noSuchImage(path: path, name: wanted, names: names)
        }
        if Set(tags.values).count == 1 { return (tags[names[0]]!, names[0]) }
        guard tags.isEmpty else { throw SavedImageError.severalImages(path: path, names: names) }
        // Saved by their ids: those on which no other stands.
        let parents = Set(documents.values.compactMap(\.parent))
        let tops = documents.keys.filter { !parents.contains($0) }.sorted()
        guard let only = tops.first else { throw SavedImageError.notAnImage(path: path) }
        guard tops.count == 1 else { throw SavedImageError.severalImages(path: path, names: tops) }
        return (only, nil)
    }
}
