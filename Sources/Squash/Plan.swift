import Archive

/// What a flattened image is written as, in its one canonical order:
///
/// 1. all directories, parents first, the entries of each directory by the bytes of their names;
/// 2. everything that has an inode of its own, layer by layer from the base, in the order of the layer's tar, each under the
///    first of its surviving names;
/// 3. additions that stand in no layer;
/// 4. hard links, by the bytes of their paths. Their targets stand in 2.
///
/// The order follows from the layers alone, so the same image is always the same bytes; and a layer is read in one pass.
public struct SquashPlan: Sendable {
    /// Directories with their paths and attributes. The first is the root, whose path is empty.
    public let directories: [TarEntry]
    /// For each layer: the position of an entry that is written, and its path in the image.
    let paths: [[Int: [UInt8]]]
    /// The last position needed of each layer; -1 where none is.
    let lastOrdinals: [Int]
    /// Entries without data that were added.
    public let additions: [TarEntry]
    /// Hard links: path and target.
    public let links: [(path: [UInt8], target: [UInt8])]

    public init(_ flattener: Flattener) {
        var directories: [TarEntry] = []
        var names: [Int: [[UInt8]]] = [:]
        // Depth first without recursion: a hostile image may nest deeper than the stack.
        var stack: [(node: Int, path: [UInt8])] = [(Flattener.root, [])]
        while let (node, path) = stack.popLast() {
            let current = flattener.nodes[node]
            guard let children = current.children else {
                names[current.inode, default: []].append(path)
                continue
            }
            var directory = current.directory ?? TarEntry(path: path, kind: .directory, mode: 0o755)
            directory.path = path
            directories.append(directory)
            let prefix = path.isEmpty ? [] : path + [UInt8(ascii: "/")]
            for name in children.keys.sorted(by: { $1.lexicographicallyPrecedes($0) }) { stack.append((children[name]!, prefix + name)) }
        }
        var paths = [[Int: [UInt8]]](repeating: [:], count: flattener.layerCount)
        var added: [TarEntry] = []
        var links: [(path: [UInt8], target: [UInt8])] = []
        for (inode, var all) in names.sorted(by: { flattener.inodes[$0.key].location < flattener.inodes[$1.key].location }) {
            all.sort { $0.lexicographicallyPrecedes($1) }
            let location = flattener.inodes[inode].location
            if location.layer == Int.max {
                var entry = flattener.additions[location.ordinal]
                entry.path = all[0]
                added.append(entry)
            } else {
                paths[location.layer][location.ordinal] = all[0]
            }
            for path in all.dropFirst() { links.append((path, all[0])) }
        }
        self.directories = directories
        self.paths = paths
        lastOrdinals = paths.map { $0.keys.max() ?? -1 }
        additions = added
        self.links = links.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    /// Whether anything of a layer is written besides directories.
    public func needs(layer: Int) -> Bool { lastOrdinals[layer] >= 0 }

    /// Reads a layer again and hands on what survives of it, under the path it has in the image.
    ///
    /// - Parameter body: is given the entry and must read its data from the reader if it has any.
    public func emit(layer: Int, from source: any ByteSource, _ body: (TarEntry, TarReader) throws -> Void) throws {
        guard needs(layer: layer) else { return }
        let reader = try TarReader(source)
        var ordinal = 0
        while ordinal <= lastOrdinals[layer], var entry = try reader.next() {
            if let path = paths[layer][ordinal] {
                entry.path = path
                try body(entry, reader)
            }
            ordinal += 1
        }
        // The layer was read to its end before; if entries are missing now, the file changed under us.
        guard ordinal > lastOrdinals[layer] else { throw ArchiveError.truncated }
    }
}
