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
    /// The layer that comes next, begun while the one before it is read.
    private var ahead: (layer: Int, source: any ByteSource)?

    /// - Parameter fromBase: whether layers are read from the base up, not from the top down.
    init(_ image: SourceImage, _ source: any ImageSource, fromBase: Bool = false) {
        self.fromBase = fromBase
        self.image = image
        self.source = source
    }

    var layerCount: Int { image.layers.count }

    func servedSize(_ layer: Int) throws -> Int { try source.blob(layer).length }

    func open(_ layer: Int, checked: Bool) throws -> any ByteSource {
        guard checked else { return ReadAheadSource(try plain(layer)) }
        let result = ahead?.layer == layer ? ahead!.source : try verified(layer)
        ahead = nil
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
        let reader = try TarReader(plain(layer))
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
