import AppC

/// All that the metadata service says of one pod (appc spec `ace.md#app-container-metadata-service`). It lies in the pod's
/// directory, so that a service that was started anew finds every living pod.
public struct MetadataDocument: Sendable, Equatable, Codable {
    public struct Image: Sendable, Equatable, Codable {
        /// The app's name in the pod.
        public var app: String
        /// The manifest as it is in the image.
        public var manifest: String
    }

    /// In its canonical form.
    public var uuid: String
    /// Who knows it is the pod: 128 random bits in hexadecimal digits.
    public var token: String
    /// The pod manifest, with nothing left open.
    public var manifest: String
    public var images: [Image]
    /// A file that stands for the pod's network namespace; nil where it has the host's network.
    public var network: String?

    /// - Parameters:
    ///   - images: the manifest of each app's image, by the app's name.
    ///   - network: a path that leads to the pod's network namespace for as long as it lives; nil for the host's network.
    public init(uuid: String, manifest: PodManifest, images: [(app: String, manifest: [UInt8])], network: String? = nil) throws {
        self.uuid = uuid
        token = (0..<16).map { _ in UInt8.random(in: 0...255) }.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        // The list of annotations is served by itself: it is there even where it is empty.
        var manifest = manifest
        manifest.annotations = manifest.annotations ?? []
        self.manifest = try CanonicalJSON.text(manifest)
        self.images = images.map { Image(app: $0.app, manifest: String(decoding: $0.manifest, as: UTF8.self)) }
        self.network = network
    }
}
