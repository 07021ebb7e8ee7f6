import Archive
import Digest
import Files
import Hashing
import Image
import Squash

/// The layers of an image, decompressed and checked against their diff IDs on threads of their own.
final class ImageLayers: LayerProvider {
    private let image: SourceImage
    private let source: any ImageSource
    private let fromBase: Bool
    private let shelf: LayerShelf?
    private let limits: Limits
    /// Layers that are kept, or were found to be too large for it.
    private var packed: [Int: PackedLayer?] = [:]
    /// The layer that comes next, begun while the one before it is read.
    private let readsAhead: Bool
    private var ahead: (layer: Int, source: any ByteSource)?

    /// - Parameters:
    ///   - fromBase: whether layers are read from the base up, not from the top down.
    ///   - ahead: whether the next layer is begun while one is read.
    ///   - shelf: where layers are kept that other images have too.
    init(_ image: SourceImage, _ source: any ImageSource, fromBase: Bool = false, ahead: Bool = true, shelf: LayerShelf? = nil, limits: Limits = Limits()) {
        self.shelf = shelf
        self.limits = limits
        self.fromBase = fromBase
        readsAhead = ahead
        self.image = image
        self.source = source
    }

    var layerCount: Int { image.layers.count }

    func servedSize(_ layer: Int) throws -> Int { try source.blob(layer).length }

    func members(_ layer: Int) throws -> (any MemberReader)? { try pack(layer)?.reader() }

    /// A layer that is kept.
    func packed(_ layer: Int) -> PackedLayer? { packed[layer] ?? nil }

    private func pack(_ layer: Int) throws -> PackedLayer? {
        if let known = packed[layer] { return known }
        let descriptor = image.layers[layer]
        // Only what is checked against a digest can stand for another image's layer.
        guard let shelf, let diffID = descriptor.diffID else { return nil }
        let bytes = ImageLayers(image, source, ahead: false)
        let found = try shelf.layer(layer, of: bytes, key: "\(descriptor.digest?.description ?? "") \(diffID)", limits: limits)
        packed[layer] = .some(found)
        return found
    }

    func open(_ layer: Int, checked: Bool) throws -> any ByteSource {
        guard checked else { return ReadAheadSource(try plain(layer)) }
        let result = ahead?.layer == layer ? ahead!.source : try verified(layer)
        ahead = nil
        guard readsAhead else { return result }
        let next = fromBase ? layer + 1 : layer - 1
        if image.layers.indices.contains(next) { ahead = (next, try verified(next)) }
        return result
    }

    private func plain(_ layer: Int) throws -> any ByteSource {
        let blob = try source.blob(layer)
        return try Decompressor.open(FileRegion(blob.file, offset: blob.offset, length: blob.length))
    }

    private func verified(_ layer: Int) throws -> any ByteSource {
        let descriptor = image.layers[layer]
        guard let expected = descriptor.diffID else { return ReadAheadSource(try plain(layer)) }
        let hasher = StreamHasher(expected.algorithm)
        return CheckedSource(ReadAheadSource(try plain(layer)) { hasher.update($0) }) {
            let actual = hasher.finish()
            guard actual == expected else { throw ConversionError.wrongDiffID(layer: descriptor.label, expected: expected, actual: actual) }
        }
    }

    /// A small file of a layer; nil where it is larger than any sane one, or no file.
    func content(_ layer: Int, _ ordinal: Int) throws -> [UInt8]? {
        let reader = try members(layer) ?? TarReader(plain(layer))
        for _ in 0..<ordinal { _ = try reader.next() }
        guard let entry = try reader.next(), entry.kind == .file, entry.size <= 1 << 20 else { return nil }
        var bytes: [UInt8] = []
        try reader.data { bytes.append(contentsOf: $0) }
        return bytes
    }
}

/// A source that is checked when its end is reached.
private final class CheckedSource: ByteSource {
    private let source: any ByteSource
    private var check: (() throws -> Void)?

    init(_ source: any ByteSource, atEnd check: @escaping () throws -> Void) {
        self.source = source
        self.check = check
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        if count == 0, let check {
            self.check = nil
            try check()
        }
        return count
    }
}
