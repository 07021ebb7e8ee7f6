import ACI
import AppC
import Archive
import Files
import Squash

/// Images that stand on one another, as layers of a squasher: what an image shows is what its own rootfs and those below show,
/// without what a whitelist above leaves out (appc spec `aci.md#dependency-matching`).
struct ImageChain: LayerProvider {
    /// The lowest first.
    private let images: [OpenFile]
    /// For each, the lowest of those that it is built on, or itself.
    private let lowest: [Int]

    /// - Parameter images: the upper ones first, and for each how many, it first, are it and what it is built on.
    init(_ images: [(file: OpenFile, span: Int)]) {
        self.images = images.reversed().map(\.file)
        lowest = images.reversed().enumerated().map { max(0, $0 - $1.span + 1) }
    }

    var layerCount: Int { images.count }
    var dialect: Dialect { .image }
    func servedSize(_ layer: Int) throws -> Int { try images[layer].size() }

    func open(_ layer: Int, checked: Bool) throws -> any ByteSource { try Decompressor.open(bytes(layer)) }

    func whitelist(_ layer: Int) throws -> Whitelist? {
        let manifest = try ManifestReader.image(ACIFile.manifest(bytes(layer))).manifest
        guard let paths = manifest.pathWhitelist, !paths.isEmpty else { return nil }
        return Whitelist(paths: paths.map { Array($0.utf8.drop { $0 == UInt8(ascii: "/") }) }, lowest: lowest[layer])
    }

    /// Whether what is to be seen is simply what stands in the one image.
    func isPlain() throws -> Bool { try layerCount == 1 && whitelist(0) == nil }

    func bytes(_ layer: Int) throws -> FileRegion { FileRegion(images[layer], offset: 0, length: try images[layer].size()) }
}
