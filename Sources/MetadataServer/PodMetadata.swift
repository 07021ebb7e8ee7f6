import AppC
import Metadata

/// A pod, as the service answers for it: every answer is ready.
struct PodMetadata: Sendable {
    let uuid: String
    let token: String
    /// Where its listener is: nil for the host's.
    let hasOwnListener: Bool
    /// JSON and text, by the path below `pod/` and `apps/`.
    private let answers: [String: MetadataResponse]

    /// - Throws: ``MetadataRefusal`` where the document is none.
    init(_ document: MetadataDocument, hasOwnListener: Bool) throws {
        guard UUIDBytes(document.uuid) != nil, document.token.utf8.count >= 32 else { throw MetadataRefusal(why: "its document names no pod") }
        let manifest = try CanonicalJSON.decode(PodManifest.self, from: document.manifest.utf8)
        (uuid, token, self.hasOwnListener) = (document.uuid, document.token, hasOwnListener)
        var answers: [String: MetadataResponse] = [
            "pod/annotations": .json(try CanonicalJSON.encode(manifest.annotations ?? [])),
            "pod/manifest": .json(Array(document.manifest.utf8)),
            "pod/uuid": .text(uuid),
        ]
        for image in document.images {
            guard let app = manifest.apps?.first(where: { $0.name == image.app }) else { throw MetadataRefusal(why: "its document has an app too many") }
            var annotations = try CanonicalJSON.decode(ImageManifest.self, from: image.manifest.utf8).annotations ?? []
            // What the pod says of an app takes precedence over what its image says.
            for annotation in app.annotations ?? [] {
                if let index = annotations.firstIndex(where: { $0.name == annotation.name }) {
                    annotations[index] = annotation
                } else {
                    annotations.append(annotation)
                }
            }
            answers["apps/\(app.name)/annotations"] = .json(try CanonicalJSON.encode(annotations))
            answers["apps/\(app.name)/image/manifest"] = .json(Array(image.manifest.utf8))
            answers["apps/\(app.name)/image/id"] = .text(app.image.id ?? "")
        }
        self.answers = answers
    }

    subscript(path: some StringProtocol) -> MetadataResponse? { answers[String(path)] }
}

/// A pod that the service doesn't take.
struct MetadataRefusal: Error {
    let why: String
}

/// The 16 bytes of a UUID in its canonical form.
struct UUIDBytes {
    let bytes: [UInt8]

    init?(_ text: some StringProtocol) {
        let digits = Array(text.utf8).filter { $0 != UInt8(ascii: "-") }
        guard text.utf8.count == 36, digits.count == 32 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 32, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index..<(index + 2)], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        self.bytes = bytes
    }
}
