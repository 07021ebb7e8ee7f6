import AppC
import Digest
import Files
import Image
import Reference

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
    private let client: RegistryClient
    private let descriptors: [Descriptor]

    /// Finds the image that a name leads to, of an index the one for the platform.
    init(_ server: RegistryServer) throws {
        let client = RegistryClient(server)
        let reference = server.reference
        self.client = client
        func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
            do { return try CanonicalJSON.decode(type, from: bytes) } catch { throw RegistryError.invalid(reference, reason: "\(what) can't be understood") }
        }
        func parse(_ text: String) throws -> Digest {
            guard let digest = Digest(text) else { throw RegistryError.invalid(reference, reason: "\"\(text)\" is not a digest") }
            return digest
        }

        var (bytes, digest) = try client.manifest(reference.manifestReference)
        var document = try decode(ManifestDocument.self, bytes, "the manifest")
        // What the name leads to; the index where there is one.
        let named = digest
        for _ in 0..<2 {
            guard let offers = document.manifests else { break }
            (bytes, digest) = try client.manifest(parse(Self.choose(offers, server)).description)
            document = try decode(ManifestDocument.self, bytes, "the manifest")
        }
        let name = ImageName(registry: reference.registry, repository: reference.repository, tag: reference.tag, original: reference.original)
        if document.schemaVersion == 1 {
            let old = try SchemaOne(bytes, reference)
            image = SourceImage(name: name, config: old.config, id: old.id, manifestDigest: named, layers: old.layers)
            descriptors = []
            return
        }
        guard let config = document.config, let layers = document.layers else {
            throw RegistryError.invalid(reference, reason: "its manifest is of an unknown kind")
        }
        let configDigest = try parse(config.digest)
        let configBytes = try client.document(config, configDigest)
        let diffIDs = try decode(ConfigDocument.self, configBytes, "the configuration").rootfs?.diff_ids ?? []
        guard diffIDs.count == layers.count else {
            throw RegistryError.invalid(reference, reason: "the configuration names \(diffIDs.count) layers, the manifest \(layers.count)")
        }
        let described = try zip(layers, diffIDs).map { layer, diffID in
            guard layer.size >= 0 else { throw RegistryError.invalid(reference, reason: "a layer has the size \(layer.size)") }
            return LayerDescriptor(digest: try parse(layer.digest), diffID: try parse(diffID), size: layer.size)
        }
        image = SourceImage(name: name, config: configBytes, id: configDigest.description, manifestDigest: named, layers: described)
        descriptors = layers
    }

    private static func choose(_ offers: [Descriptor], _ server: RegistryServer) throws -> String {
        let wanted = server.options.platform
        let offered = offers.compactMap { offer -> (platform: Platform, digest: String)? in
            guard let os = offer.platform?.os, let architecture = offer.platform?.architecture, os != "unknown" else { return nil }
            return (Platform(os: os, architecture: architecture, variant: offer.platform?.variant), offer.digest)
        }
        // The first of the best, as Docker does.
        let best = offered.map { wanted.suitability(of: $0.platform) }.max() ?? 0
        guard best > 0, let chosen = offered.first(where: { wanted.suitability(of: $0.platform) == best }) else {
            throw RegistryError.noSuchPlatform(server.reference, wanted: wanted, available: offered.map(\.platform))
        }
        return chosen.digest
    }

    func key(_ layer: Int) -> String { image.layers[layer].digest!.description }

    func download(_ layer: Int, into file: OpenFile, progress: @escaping (Int) throws -> Void) throws {
        let descriptor = descriptors.indices.contains(layer) ? descriptors[layer] : nil
        try client.download(
            image.layers[layer].digest!, size: image.layers[layer].size, urls: descriptor?.urls ?? [], isForeign: descriptor?.isForeign ?? false, into: file,
            progress: progress)
    }
}
