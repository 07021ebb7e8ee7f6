import Archive
import Files

/// A layer that was read once and is kept in a form from which many images are made cheaply: its members' headers in memory, and,
/// in a file, what an image shows of it where nothing above changes that, deflated in blocks.
///
/// What is kept is cut into *regions*: the small members whose headers begin in the same stretch of the layer's tar, or one large
/// member. An image that shows a region as it is takes its blocks; one that changes something in it takes the members one by one.
/// Memory grows with the number of members (some 300 bytes each), not with data. Safe to use from several threads.
public final class PackedLayer: Sendable {
    /// Bytes of a layer's tar that make a region, and from which on a member is one of its own. Smaller ones compress worse.
    private static let regionSize = 1 << 18

    /// The number of the region that a member belongs to.
    /// - Parameter position: where its header begins in the layer's tar, in bytes.
    public static func region(of entry: TarEntry, at position: Int) -> Int { position / regionSize * 2 + (entry.size < regionSize ? 0 : 1) }

    struct Member: Sendable {
        /// With its canonical path, where it is no marker and not the root.
        var entry: TarEntry
        var position: Int
        /// Where its header begins in what is kept, and how long header, data and padding are; 0 where nothing is kept.
        var start: Int
        var length: Int
    }

    private struct Region {
        var start: Int
        var end: Int
        /// Members that are kept.
        var count: Int
        /// Whether they stand side by side: they don't where several large members share a stretch, as sparse files may.
        var isConnected = true
    }

    private struct Block {
        var offset: Int
        var count: Int
        var start: Int
        var size: Int
        var checksum: UInt32
    }

    let members: [Member]
    private let regions: [Int: Region]
    private let blocks: [Block]
    private let file: OpenFile
    private let released: @Sendable (PackedLayer) -> Void

    /// Bytes of the file.
    public let fileSize: Int
    /// About so many bytes of memory.
    public let memorySize: Int

    /// Reads a layer to its end.
    ///
    /// - Parameters:
    ///   - layer: of `provider`; the base is 0.
    ///   - level: of compression, as ``BlockCompressor`` counts.
    ///   - workers: how many threads compress.
    ///   - file: an empty one.
    ///   - room: is told how large the file gets, before it does; throws to give up.
    ///   - member: what an entry of the image is in the archive that is made of it.
    ///   - released: is called when this object goes.
    /// - Throws: ``LayerError``, and errors of the provider, the file and `room`.
    public init(
        _ layer: Int, of provider: any LayerProvider, limits: Limits, level: Int, workers: Int, file: OpenFile, room: @escaping (Int) throws -> Void,
        member: (TarEntry) -> TarEntry, released: @escaping @Sendable (PackedLayer) -> Void
    ) throws {
        let kept = Kept(file, level: level, workers: workers, room: room)
        let writer = TarWriter(kept)
        var members: [Member] = []
        var regions: [Int: Region] = [:]
        var last: Int?
        let reader = LayerReader(provider, limits)
        try reader.read(layer, reader.counter) { entry, data in
            var entry = entry
            let start = kept.size
            var path: EntryPath?
            // A name that no image may have is an error of whoever reads this layer as an image's.
            if case .entry(let found)? = try? provider.dialect.meaning(entry.path), !found.components.isEmpty { path = found }
            if let path {
                entry.path = path.bytes
                if entry.kind != .hardLink {
                    let region = Self.region(of: entry, at: data.headerPosition)
                    if region != last {
                        try kept.cut()
                        if regions[region] == nil { regions[region] = Region(start: start, end: start, count: 0) } else { regions[region]!.isConnected = false }
                    }
                    last = region
                    regions[region]!.count += 1
                    try writer.header(member(entry))
                    if entry.size > 0 { try data.data { try writer.data($0) } }
                    regions[region]!.end = kept.size
                }
            }
            members.append(Member(entry: entry, position: data.headerPosition, start: start, length: kept.size - start))
        }
        try kept.finish()
        (self.members, self.regions, self.file, self.released) = (members, regions, file, released)
        (blocks, fileSize) = (kept.blocks, kept.fileSize)
        memorySize = members.reduce(0) { $0 + 320 + $1.entry.path.count + $1.entry.linkTarget.count } + kept.blocks.count * 40
    }

    deinit { released(self) }

    /// Reads the members from the first one on.
    public func reader() -> any MemberReader { PackedLayerReader(self) }

    /// Whether an entry of an image is the layer's own, as it is kept.
    public func keeps(_ entry: TarEntry, as ordinal: Int) -> Bool { members[ordinal].length > 0 && members[ordinal].entry == entry }

    /// Whether so many members are all that a region keeps, and its blocks hold nothing else.
    public func isWhole(region: Int, count: Int) -> Bool { regions[region].map { $0.isConnected && $0.count == count } ?? false }

    /// What a whole region keeps, block by block.
    public func blocks(region: Int, _ body: (DeflatedBlock) throws -> Void) throws {
        guard let region = regions[region] else { return }
        var index = firstBlock(at: region.start)
        while index < blocks.count, blocks[index].start < region.end {
            try body(block(index))
            index += 1
        }
    }

    /// Header, data and padding of a member.
    /// - Parameter cache: what a caller keeps to read members that stand side by side.
    public func bytes(of ordinal: Int, cache: inout BlockInUse, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        try bytes(members[ordinal].start..<members[ordinal].start + members[ordinal].length, &cache, body)
    }

    /// The block that was inflated last.
    public struct BlockInUse {
        fileprivate var index: Int
        fileprivate var bytes: [UInt8]
        public init() { (index, bytes) = (-1, []) }
        fileprivate init(index: Int, bytes: [UInt8]) { (self.index, self.bytes) = (index, bytes) }
    }

    /// The data of a member without its header.
    fileprivate func data(of ordinal: Int, cache: inout BlockInUse, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let member = members[ordinal]
        let dataLength = Int(member.entry.size)
        guard member.length > 0, dataLength > 0 else { return }
        let end = member.start + member.length - (512 - dataLength % 512) % 512
        try bytes(end - dataLength..<end, &cache, body)
    }

    private func bytes(_ range: Range<Int>, _ cache: inout BlockInUse, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard !range.isEmpty else { return }
        var index = firstBlock(at: range.lowerBound)
        while index < blocks.count, blocks[index].start < range.upperBound {
            if cache.index != index { cache = BlockInUse(index: index, bytes: try block(index).inflated()) }
            let from = max(range.lowerBound - blocks[index].start, 0)
            let to = min(range.upperBound - blocks[index].start, blocks[index].size)
            try cache.bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[from..<to])) }
            index += 1
        }
    }

    /// The block that holds a byte of what is kept.
    private func firstBlock(at start: Int) -> Int {
        var (low, high) = (0, blocks.count)
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle].start + blocks[middle].size <= start { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func block(_ index: Int) throws -> DeflatedBlock {
        let block = blocks[index]
        let bytes = try [UInt8](unsafeUninitializedCapacity: block.count) { buffer, count in
            while count < block.count {
                let got = try file.read(
                    into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...]), at: block.offset + count)
                guard got > 0 else { throw ArchiveError.truncated }
                count += got
            }
        }
        return DeflatedBlock(bytes: bytes, plainSize: block.size, checksum: block.checksum)
    }

    /// Deflates what is kept into the file. `blocks` and `fileSize` are complete after ``finish()``.
    private final class Kept: ByteSink {
        private(set) var size = 0
        private final class Written {
            var blocks: [Block] = []
            var fileSize = 0
            var size = 0
        }
        private let written: Written
        private let compressor: BlockCompressor

        init(_ file: OpenFile, level: Int, workers: Int, room: @escaping (Int) throws -> Void) {
            let written = Written()
            self.written = written
            compressor = BlockCompressor(level: level, workers: workers) { block in
                try room(written.fileSize + block.bytes.count)
                try block.bytes.withUnsafeBytes { try file.write($0) }
                written.blocks.append(
                    Block(offset: written.fileSize, count: block.bytes.count, start: written.size, size: block.plainSize, checksum: block.checksum))
                written.fileSize += block.bytes.count
                written.size += block.plainSize
            }
        }

        var blocks: [Block] { written.blocks }
        var fileSize: Int { written.fileSize }

        func write(_ bytes: UnsafeRawBufferPointer) throws {
            try compressor.write(bytes)
            size += bytes.count
        }
        func cut() throws { try compressor.cut() }
        func finish() throws { try compressor.finish() }
    }
}

/// Reads the members of a layer that is kept.
private final class PackedLayerReader: MemberReader {
    private let layer: PackedLayer
    private var ordinal = -1
    private var cache = PackedLayer.BlockInUse()

    init(_ layer: PackedLayer) { self.layer = layer }

    func next() -> TarEntry? {
        ordinal += 1
        return ordinal < layer.members.count ? layer.members[ordinal].entry : nil
    }

    var headerPosition: Int { layer.members.indices.contains(ordinal) ? layer.members[ordinal].position : layer.members.last?.position ?? 0 }

    func data(_ body: (UnsafeRawBufferPointer) throws -> Void) throws { try layer.data(of: ordinal, cache: &cache, body) }
}
