import AppC
import Digest
import Files
import Image
import Manifests
import Reference
import Transport

/// An image found in a registry, by one of the two protocols.
protocol RemoteImage: Sendable {
    var image: SourceImage { get }

    /// The same for layers that are the same bytes.
    func key(_ layer: Int) -> String

    /// Downloads a layer into an empty file and checks it.
    /// - Parameter progress: gets the bytes that are there; throws to give up.
    func download(_ layer: Int, into file: OpenFile, progress: @escaping (Int) throws -> Void) throws
}

/// An image by the second protocol: of Docker's schemas 1 and 2, and OCI's.
struct RemoteImageV2: RemoteImage {
    let image: SourceImage
    /// The one that had the manifest, then those that may have a blob which it doesn't give.
    private let clients: [RegistryClient]
    private let descriptors: [Descriptor]

    /// Finds the image that a name leads to, of an index the one for the platform.
    /// - Parameters:
    ///   - named: the name that it gets.
    ///   - others: hosts that have the same blobs.
    init(_ client: RegistryClient, named: ImageReference, others: [RegistryClient] = []) throws {
        let reference = client.server.reference
        clients = [client] + others
        let (bytes, digest) = try client.manifest(reference.manifestReference)
        let name = ImageName(registry: named.registry, repository: named.repository, tag: named.tag, original: named.original)
        if (try? CanonicalJSON.decode(ManifestDocument.self, from: bytes))?.schemaVersion == 1 {
            let old = try SchemaOne(bytes, reference)
            image = SourceImage(name: name, config: old.config, id: old.id, manifestDigest: digest, layers: old.layers)
            descriptors = []
            return
        }
        let found = try ResolvedImage(bytes, name: "\(reference)", platform: client.server.options.platform) {
            try client.manifest($0.description).bytes
        } config: {
            try client.document($1)
        }
        // The digest is of what the name leads to: the index where there is one.
        image = SourceImage(name: name, config: found.config, id: found.configDigest.description, manifestDigest: digest, layers: found.layers)
        descriptors = found.descriptors
    }

    func key(_ layer: Int) -> String { image.layers[layer].digest!.description }

    func download(_ layer: Int, into file: OpenFile, progress: @escaping (Int) throws -> Void) throws {
        let (layer, descriptor) = (image.layers[layer], descriptors.indices.contains(layer) ? descriptors[layer] : nil)
        for (number, client) in clients.enumerated() {
            do {
                try file.restart()
                return try client.download(
                    layer.digest!, size: layer.size, urls: descriptor?.urls ?? [], isForeign: descriptor?.isForeign ?? false, into: file, progress: progress)
            } catch let error where (error is RegistryError || error is TransportError) && number < clients.count - 1 {}
        }
    }
}
