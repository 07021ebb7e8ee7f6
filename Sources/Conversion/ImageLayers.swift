import Archive
import Digest
import Files
import Hashing
import Image
import Squash
import Threads

/// The layers of an image, decompressed and checked against their diff IDs on threads of their own.
final class ImageLayers: LayerProvider {
    private let image: SourceImage
    private let source: any ImageSource
    private let fromBase: Bool
    private let shelf: LayerShelf?
    private let level: Int
    private let limits: Limits
    /// Layers that are kept, or were found to be too large for it.
    private var packed: [Int: PackedLayer?] = [:]
    /// The layer that comes next, begun while the one before it is read.
    private let readsAhead: Bool
    /// Whether layers are read while they come.
    private let arriving: Bool
    private let came = Monitor(false)
    private var ahead: (layer: Int, source: any ByteSource)?

    /// - Parameters:
    ///   - fromBase: whether layers are read from the base up, not from the top down.
    ///   - ahead: whether the next layer is begun while one is read.
    ///   - arriving: whether layers are read while they come: nothing that is made of them may be kept before all have been read.
    ///   - shelf: where layers are kept that other images have too.
    ///   - level: of compression, for those.
    init(
        _ image: SourceImage, _ source: any ImageSource, fromBase: Bool = false, ahead: Bool = true, arriving: Bool = false, shelf: LayerShelf? = nil,
        level: Int = 2, limits: Limits = Limits()
    ) {
        self.arriving = arriving
        self.shelf = shelf
        self.level = level
        self.limits = limits
        self.fromBase = fromBase
        readsAhead = ahead
        self.image = image
        self.source = source
    }

    var layerCount: Int { image.layers.count }

    func servedSize(_ layer: Int) throws -> Int { try blob(layer).length }

    func beginning(_ layer: Int) throws -> any ByteSource {
        guard arriving else { return try open(layer, checked: false) }
        return ReadAheadSource(try Decompressor.open(BlobSource(source.beginning(layer))))
    }

    private func blob(_ layer: Int) throws -> LayerBlob {
        guard arriving else { return try source.blob(layer) }
        let blob = try source.arriving(layer)
        if blob.arrival != nil { came.update { $0 = true } }
        return blob
    }

    /// Whether any layer was read before all of it was here.
    var cameMeanwhile: Bool { came.update { $0 } }

    func members(_ layer: Int) throws -> (any MemberReader)? { try pack(layer)?.reader() }

    /// A layer that is kept.
    func packed(_ layer: Int) -> PackedLayer? { packed[layer] ?? nil }

    private func pack(_ layer: Int) throws -> PackedLayer? {
        if let known = packed[layer] { return known }
        let descriptor = image.layers[layer]
        guard let shelf else { return nil }
        let bytes = ImageLayers(image, source, ahead: false)
        let found = try shelf.layer(layer, descriptor, of: bytes, level: level, limits: limits)
        packed[layer] = .some(found)
        return found
    }

    func open(_ layer: Int, checked: Bool) throws -> any ByteSource {
        guard checked else { return ReadAheadSource(plain(layer)) }
        let result = ahead?.layer == layer ? ahead!.source : try verified(layer)
        ahead = nil
        guard readsAhead else { return result }
        let next = fromBase ? layer + 1 : layer - 1
        if image.layers.indices.contains(next) { ahead = (next, try verified(next)) }
        return result
    }

    private func plain(_ layer: Int) -> any ByteSource {
        // A layer that is opened ahead may be one that hasn't come yet.
        DeferredSource { try Decompressor.open(BlobSource(self.blob(layer))) }
    }

    private func verified(_ layer: Int) throws -> any ByteSource {
        let descriptor = image.layers[layer]
        guard let expected = descriptor.diffID else { return ReadAheadSource(plain(layer)) }
        let hasher = StreamHasher(expected.algorithm)
        return CheckedSource(ReadAheadSource(plain(layer)) { hasher.update($0) }) {
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

/// The bytes of a layer as served, which may still come.
private final class BlobSource: ByteSource {
    private let blob: LayerBlob
    private var position = 0

    init(_ blob: LayerBlob) { self.blob = blob }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let end = try blob.arrival?(position) ?? blob.length
            let wanted = min(buffer.count, end - position)
            guard wanted > 0 else { return 0 }
            let count = try blob.file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: blob.offset + position)
            position += count
            if count > 0 { return count }
            // A region that ends early is a file that was cut off, unless its download begins anew just now.
            guard blob.arrival != nil, end < blob.length else { throw ArchiveError.truncated }
        }
    }
}

/// A source that is opened, and waited for, by whoever reads it first.
private final class DeferredSource: ByteSource {
    private let open: () throws -> any ByteSource
    private var source: (any ByteSource)?

    init(_ open: @escaping () throws -> any ByteSource) { self.open = open }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let source = try source ?? open()
        self.source = source
        return try source.read(into: buffer)
    }

    func skip(_ count: Int) -> Int { source?.skip(count) ?? 0 }
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
