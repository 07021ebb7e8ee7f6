import Archive

/// Bounds that hostile input meets.
public struct Limits: Sendable {
    /// Bytes of data of all layers together, unpacked.
    public var size: Int
    /// Members of all layers together, and paths that they make: what memory grows with.
    public var entries: Int
    /// How many times larger than its bytes as served a layer may be. Gzip can't exceed 1032.
    public var ratio: Int

    /// A layer of so many bytes may have any ratio: a small file of zeros is no attack.
    public static let ratioFloor = 64 << 20

    public init(size: Int = 1 << 40, entries: Int = 4_000_000, ratio: Int = 5000) {
        self.size = size
        self.entries = entries
        self.ratio = ratio
    }

    /// Bytes of extended attributes of all directories, which are kept in memory.
    static let directoryAttributes = 64 << 20

    /// What a layer may unpack to, by the ratio.
    public func bound(servedSize: Int) -> Int {
        let (product, overflow) = servedSize.multipliedReportingOverflow(by: ratio)
        return overflow ? .max : max(product, Self.ratioFloor)
    }
}

/// Counts the members of all layers and the data they claim to have, holes of sparse files included.
final class Counter {
    private let limits: Limits
    private var size = 0
    private var entries = 0
    private var layerSize = 0
    private var layerBound = 0
    private var attributes = 0

    init(_ limits: Limits) { self.limits = limits }

    /// - Parameter bound: bytes that the layer may have.
    func beginLayer(_ bound: Int) { (layerSize, layerBound) = (0, bound) }

    private func beyond(_ option: String, _ entry: TarEntry, _ what: String) -> ArchiveError {
        .beyondLimit(option: option, reason: "entry \"\(String(decoding: entry.path, as: UTF8.self))\" \(what)")
    }

    /// - Parameter paths: how many the entries up to this one have made.
    func check(paths: Int, _ entry: TarEntry) throws {
        guard paths <= limits.entries else { throw beyond("--max-entries", entry, "is one of \(paths) paths") }
    }

    func count(_ entry: TarEntry) throws {
        entries += 1
        guard entries <= limits.entries else { throw beyond("--max-entries", entry, "is number \(entries) of the image") }
        if entry.kind == .directory { attributes += entry.xattrs.reduce(0) { $0 + $1.name.count + $1.value.count } }
        guard attributes <= Limits.directoryAttributes else {
            throw ArchiveError.badEntry(
                name: entry.path, reason: "brings the directories' extended attributes to more than \(Limits.directoryAttributes) bytes")
        }
        let length = Int(entry.size)
        guard length >= 0, length <= limits.size - size else { throw beyond("--max-size", entry, "makes the image larger than \(limits.size) bytes") }
        size += length
        layerSize += length
        guard layerSize <= layerBound else { throw beyond("--max-ratio", entry, "makes the layer larger than \(limits.ratio) times its size as served") }
    }
}

/// Ends a layer that unpacks to more than it may.
final class BoundedSource: ByteSource {
    private let source: any ByteSource
    private let ratio: Int
    private var left: Int

    init(_ source: any ByteSource, bound: Int, ratio: Int) {
        self.source = source
        self.ratio = ratio
        left = bound
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        left -= count
        guard left >= 0 else { throw ArchiveError.beyondLimit(option: "--max-ratio", reason: "it unpacks to more than \(ratio) times its size") }
        return count
    }
}
