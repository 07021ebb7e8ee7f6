import Archive

/// What one layer says, without its data: made by reading the layer's tar once.
public struct LayerIndex: Sendable {
    struct Entry: Sendable {
        var path: EntryPath
        /// Position among all members of the tar, whiteouts included.
        var ordinal: Int
        var kind: TarEntry.Kind
        /// Target of a hard link.
        var linkTarget: EntryPath?
        /// Attributes, kept for directories alone: they are written before any layer is read again.
        var directory: TarEntry?
    }

    var entries: [Entry] = []
    var whiteouts: [EntryPath] = []
    var opaque: [EntryPath] = []
    /// Bytes of data of all members.
    public private(set) var dataSize: Int64 = 0
    /// Number of members.
    public private(set) var memberCount = 0

    /// Bounds that hostile input meets.
    public struct Limits: Sendable {
        /// Bytes of data in one layer.
        public var size: Int64 = 1 << 40
        /// Members of one layer.
        public var members = 10_000_000

        public init() {}
    }

    /// Reads all members of a layer.
    /// - Throws: ``ArchiveError``, or an error of the source.
    public init(_ source: any ByteSource, limits: Limits = Limits()) throws {
        let reader = try TarReader(source)
        while let entry = try reader.next() {
            try add(entry, limits)
        }
    }

    private mutating func add(_ entry: TarEntry, _ limits: Limits) throws {
        let ordinal = memberCount
        memberCount += 1
        guard memberCount <= limits.members else { throw ArchiveError.badArchive(reason: "it has more than \(limits.members) entries") }
        guard entry.size >= 0, entry.size <= limits.size - dataSize else {
            throw ArchiveError.badEntry(name: entry.path, reason: "makes the layer larger than \(limits.size) bytes")
        }
        dataSize += entry.size
        switch try EntryMeaning(entry.path) {
        case .ignored: break
        case .whiteout(let path): whiteouts.append(path)
        case .opaque(let directory): opaque.append(directory)
        case .entry(let path):
            var target: EntryPath?
            if entry.kind == .hardLink {
                do { target = try EntryPath(entry.linkTarget) } catch {
                    throw ArchiveError.badEntry(name: entry.path, reason: "is a hard link to a name that no image may have")
                }
            }
            guard !path.components.isEmpty || entry.kind == .directory else {
                throw ArchiveError.badEntry(name: entry.path, reason: "would replace the root directory")
            }
            entries.append(
                Entry(path: path, ordinal: ordinal, kind: entry.kind, linkTarget: target, directory: entry.kind == .directory ? entry : nil))
        }
    }
}
