import Files

/// Sorts the entries of a tree, which come in any order, into a listing.
///
/// What is in memory is bounded, but for the names of files that have several: entries lie in files, a sorted run each, until
/// all are there.
public final class ListingWriter {
    private let scratch: Directory
    private let runSize: Int
    private var entries: [ListedEntry] = []
    private var size = 0
    private var runs: [OpenFile] = []
    /// Names of files that stand under another name.
    private var links: [[UInt8]: [UInt8]] = [:]

    /// - Parameters:
    ///   - scratch: where files without a name are made.
    ///   - runSize: roughly how many bytes of entries are sorted in memory.
    public init(scratch: Directory, runSize: Int = 32 << 20) { (self.scratch, self.runSize) = (scratch, runSize) }

    /// - Parameter entry: of a path that wasn't added before.
    public func add(_ entry: ListedEntry) throws {
        entries.append(entry)
        size += 200 + entry.path.count + entry.target.count + entry.attributes.reduce(0) { $0 + 100 + $1.name.count + $1.value.count }
        if size > runSize { try endRun() }
    }

    /// Another name of a file that is added, or will be.
    public func addLink(_ path: [UInt8], to target: [UInt8]) { links[path] = target }

    private func endRun() throws {
        guard !entries.isEmpty else { return }
        entries.sort { ListedEntry.precedes($0.path, $1.path) }
        let file = try scratch.unnamedFile()
        let output = EntryOutput(file)
        for entry in entries { try output.write(entry) }
        try output.flush()
        runs.append(file)
        entries.removeAll(keepingCapacity: true)
        size = 0
    }

    /// Writes the listing.
    /// - Throws: ``ListingError/noTarget(path:target:)``, `FileError`.
    public func finish(into file: OpenFile) throws {
        try endRun()
        let groups = try linkGroups()
        var more = links.keys.sorted { ListedEntry.precedes($0, $1) }[...]
        let readers = runs.map { ListingReader($0) }
        var heads = try readers.map { try $0.next() }
        let output = EntryOutput(file)
        while true {
            var first: Int?
            for (index, head) in heads.enumerated() where head != nil && (first == nil || ListedEntry.precedes(head!.path, heads[first!]!.path)) {
                first = index
            }
            if let link = more.first, first == nil || ListedEntry.precedes(link, heads[first!]!.path) {
                more.removeFirst()
                let group = groups[try target(of: link)]!
                var entry = group.entry
                (entry.path, entry.firstName) = (link, group.first)
                try output.write(entry)
                continue
            }
            guard let first, var entry = heads[first] else { break }
            heads[first] = try readers[first].next()
            if let group = groups[entry.path] { entry.firstName = group.first }
            try output.write(entry)
        }
        try output.flush()
    }

    private struct LinkGroup {
        var entry: ListedEntry
        var first: [UInt8]
    }

    /// By the path under which the file itself stands.
    private func linkGroups() throws -> [[UInt8]: LinkGroup] {
        guard !links.isEmpty else { return [:] }
        var firsts: [[UInt8]: [UInt8]] = [:]
        for link in links.keys {
            let target = try target(of: link)
            firsts[target] = [firsts[target] ?? target, link].min { ListedEntry.precedes($0, $1) }
        }
        var groups: [[UInt8]: LinkGroup] = [:]
        for run in runs {
            let reader = ListingReader(run)
            while let entry = try reader.next() {
                if let first = firsts[entry.path] { groups[entry.path] = LinkGroup(entry: entry, first: first) }
            }
        }
        for (link, target) in links where groups[try self.target(of: link)] == nil { throw ListingError.noTarget(path: link, target: target) }
        return groups
    }

    /// Links may lead to links, but not in a circle.
    private func target(of link: [UInt8]) throws(ListingError) -> [UInt8] {
        var path = links[link]!
        for _ in 0..<1000 {
            guard let next = links[path] else { return path }
            path = next
        }
        throw .noTarget(path: link, target: path)
    }
}

private final class EntryOutput {
    private let file: OpenFile
    private var buffer: [UInt8] = []

    init(_ file: OpenFile) { self.file = file }

    func write(_ entry: ListedEntry) throws {
        entry.encode(into: &buffer)
        if buffer.count > 256 << 10 { try flush() }
    }

    func flush() throws {
        try buffer.withUnsafeBytes { try file.write($0) }
        buffer.removeAll(keepingCapacity: true)
    }
}
