import ACI
import Archive
import Squash

/// Writes an image's tar, cut where layers and their regions begin, so that what several images show alike is compressed alike;
/// and takes regions as they are from layers that are kept (``PackedLayer``).
///
/// Whether a layer is kept or read makes no difference to what is written.
struct RegionWriter {
    private struct Region: Equatable {
        var layer: Int
        var number: Int
    }

    private enum Piece {
        case member(Int)
        case header(TarEntry)
    }

    private let sink: any ByteSink
    private let writer: ACIWriter
    private let packed: (Int) -> PackedLayer?
    /// nil before and after the layers.
    private var region: Region?
    private var layer: PackedLayer?
    /// What the region at hand shows, where its layer is kept.
    private var pieces: [Piece] = []
    private var isWhole = true

    /// - Parameter packed: the layer of a number, where it is kept.
    init(_ sink: any ByteSink, manifest: [UInt8], packed: @escaping (Int) -> PackedLayer?) throws {
        self.sink = sink
        self.packed = packed
        writer = try ACIWriter(sink, manifest: manifest)
    }

    mutating func write(_ entry: TarEntry, _ reader: (any MemberReader)?, _ origin: Squasher.Origin?) throws {
        let next = origin.map { Region(layer: $0.layer, number: PackedLayer.region(of: entry, at: $0.position)) }
        if next != region {
            try endRegion()
            if let next, next.layer != region?.layer { layer = packed(next.layer) }
            if next == nil { layer = nil }
            region = next
            try sink.cut()
        }
        guard let layer, let origin else { return try writer.write(entry, reader) }
        if layer.keeps(entry, as: origin.ordinal) {
            pieces.append(.member(origin.ordinal))
        } else {
            precondition(entry.size == 0, "a member's data is written under its own header")
            pieces.append(.header(entry))
            isWhole = false
        }
    }

    mutating func finish() throws {
        try endRegion()
        try writer.finish()
    }

    private mutating func endRegion() throws {
        defer { (pieces, isWhole) = ([], true) }
        guard let layer, let region, !pieces.isEmpty else { return }
        if isWhole, layer.isWhole(region: region.number, count: pieces.count) {
            try layer.blocks(region: region.number) { try sink.append($0) }
            return
        }
        var cache = PackedLayer.BlockInUse()
        for piece in pieces {
            switch piece {
            case .member(let ordinal): try layer.bytes(of: ordinal, cache: &cache) { try sink.write($0) }
            case .header(let entry): try writer.write(entry, nil)
            }
        }
    }
}
