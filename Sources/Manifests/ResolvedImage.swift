import AppC
import Digest
import Image

/// The image that a manifest describes, or the one of an index that is for a platform (OCI image-spec `manifest.md`,
/// `image-index.md`; Docker's schema 2 and manifest lists).
public struct ResolvedImage: Sendable {
    public let config: [UInt8]
    public let configDigest: Digest
    /// Base first.
    public let layers: [LayerDescriptor]
    /// The layers as the manifest has them.
    public let descriptors: [Descriptor]

    /// - Parameters:
    ///   - bytes: the manifest or index.
    ///   - name: what messages call the image.
    ///   - manifest: fetches a manifest and checks its digest.
    ///   - config: fetches the configuration and checks its digest.
    /// - Throws: ``SourceError``, and whatever the closures throw.
    public init(
        _ bytes: [UInt8], name: String, platform: Platform, manifest: (Digest) throws -> [UInt8], config: (Descriptor, Digest) throws -> [UInt8]
    ) throws {
        func invalid(_ reason: String) -> SourceError { .invalid(image: name, reason: reason) }
        func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
            do { return try CanonicalJSON.decode(type, from: bytes) } catch { throw invalid("\(what) can't be understood") }
        }
        func parse(_ text: String) throws -> Digest {
            guard let digest = Digest(text) else { throw invalid("\"\(text)\" is not a digest") }
            return digest
        }
        var document = try decode(ManifestDocument.self, bytes, "the manifest")
        // An index may hold another one; nobody nests them deeper.
        for _ in 0..<2 {
            guard let offers = document.manifests else { break }
            document = try decode(ManifestDocument.self, manifest(parse(Self.choose(offers, platform, name: name))), "the manifest")
        }
        guard let configuration = document.config, let layers = document.layers else { throw invalid("its manifest is of an unknown kind") }
        configDigest = try parse(configuration.digest)
        self.config = try config(configuration, configDigest)
        let diffIDs = try decode(ConfigDocument.self, self.config, "the configuration").rootfs?.diff_ids ?? []
        guard diffIDs.count == layers.count else { throw invalid("the configuration names \(diffIDs.count) layers, the manifest \(layers.count)") }
        self.layers = try zip(layers, diffIDs).map { layer, diffID in
            guard layer.size >= 0 else { throw invalid("a layer has the size \(layer.size)") }
            return LayerDescriptor(digest: try parse(layer.digest), diffID: try parse(diffID), size: layer.size)
        }
        descriptors = layers
    }

    private static func choose(_ offers: [Descriptor], _ wanted: Platform, name: String) throws -> String {
        let offered = offers.compactMap { offer -> (platform: Platform, digest: String)? in
            guard let os = offer.platform?.os, let architecture = offer.platform?.architecture, os != "unknown" else { return nil }
            return (Platform(os: os, architecture: architecture, variant: offer.platform?.variant), offer.digest)
        }
        // An index of one image needn't say what it is for.
        if offered.isEmpty, offers.count == 1 { return offers[0].digest }
        // The first of the best, as Docker does.
        let best = offered.map { wanted.suitability(of: $0.platform) }.max() ?? 0
        guard best > 0, let chosen = offered.first(where: { wanted.suitability(of: $0.platform) == best }) else {
            throw SourceError.noSuchPlatform(image: name, wanted: wanted, available: offered.map(\.platform))
        }
        return chosen.digest
    }
}
