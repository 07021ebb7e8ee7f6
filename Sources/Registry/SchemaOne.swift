import AppC
import Digest
import FoundationEssentials
import Image
import Reference

/// Manifests of Docker's schema 1 (distribution `manifest-v2-1.md`), signed or not: what registries gave out until 2016.
struct SchemaOne {
    private struct Document: Decodable {
        struct Layer: Decodable { var blobSum: String }
        struct History: Decodable { var v1Compatibility: String }
        var fsLayers: [Layer]
        var history: [History]
    }

    private struct Signed: Decodable {
        struct Signature: Decodable { var protected: String }
        var signatures: [Signature]?
    }

    private struct Protected: Decodable {
        var formatLength: Int
        var formatTail: String
    }

    /// The part of the image's configurations that links them.
    private struct Link: Decodable {
        var id: String
        var parent: String?
        var throwaway: Bool?
    }

    /// The configuration of the uppermost image.
    var config: [UInt8]
    var id: String
    /// Base first.
    var layers: [LayerDescriptor]

    /// What was signed, without the signatures (libtrust's JSON web signature); nil where nothing was.
    /// - Throws: `RegistryError.invalid` for a signature that can't be of these bytes.
    static func payload(_ bytes: [UInt8], _ reference: ImageReference) throws -> [UInt8]? {
        guard let signature = (try? CanonicalJSON.decode(Signed.self, from: bytes))?.signatures?.first else { return nil }
        guard let header = base64(signature.protected), let protected = try? CanonicalJSON.decode(Protected.self, from: header),
            bytes.indices.contains(protected.formatLength), let tail = base64(protected.formatTail)
        else { throw RegistryError.invalid(reference, reason: "the signature of its manifest makes no sense") }
        return bytes[..<protected.formatLength] + tail
    }

    init(_ bytes: [UInt8], _ reference: ImageReference) throws {
        func invalid(_ reason: String) -> RegistryError { .invalid(reference, reason: reason) }
        guard let document = try? CanonicalJSON.decode(Document.self, from: bytes), document.fsLayers.count == document.history.count, !document.history.isEmpty
        else { throw invalid("its manifest of schema 1 can't be understood") }
        config = Array(document.history[0].v1Compatibility.utf8)
        layers = []
        var ids: Set<String> = []
        var above: Link?
        for (layer, history) in zip(document.fsLayers, document.history) {
            guard let link = try? CanonicalJSON.decode(Link.self, from: history.v1Compatibility.utf8), LegacyID.isValid(link.id) else {
                throw invalid("its manifest of schema 1 has a history that can't be understood")
            }
            // Some registries wrote a layer twice.
            if link.id == above?.id { continue }
            guard ids.insert(link.id).inserted else { throw invalid("its layers go in a circle") }
            if let above, above.parent != link.id { throw invalid("layer \(above.id) doesn't stand on layer \(link.id), which comes next") }
            above = link
            guard let digest = Digest(layer.blobSum) else { throw invalid("\"\(layer.blobSum)\" is not a digest") }
            if link.throwaway != true { layers.append(LayerDescriptor(digest: digest, diffID: nil, size: nil, imageID: link.id)) }
        }
        if let parent = above?.parent, !parent.isEmpty { throw invalid("its lowest layer stands on \(parent), which is not there") }
        id = try CanonicalJSON.decode(Link.self, from: config).id
        layers.reverse()
    }

    /// Base64 as web signatures have it: of URLs' alphabet and without padding (RFC 7515).
    private static func base64(_ text: String) -> [UInt8]? {
        let usual = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        return Data(base64Encoded: String(usual) + String(repeating: "=", count: (4 - usual.count % 4) % 4)).map { Array($0) }
    }
}
