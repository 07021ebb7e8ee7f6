import Archive

/// Flattens layers: which entry of which layer is seen at each path of the image.
///
/// Layers are applied from the base up. Within one layer, first its whiteouts hide what *lower* layers have, wherever they
/// stand in the tar; then its entries are placed in their order, the last of a name winning. Paths are resolved by their
/// components alone and never through a symbolic link, as in overlayfs, where each layer is a directory of its own.
///
/// Memory grows with the number of paths, never with data: a node knows the layer and position of its entry, and the data
/// is copied from there when the plan is emitted.
public struct Flattener {
    /// Where an entry stands: its layer (base is 0) and its position among the layer's entries.
    struct Location: Hashable, Comparable {
        var layer: Int
        var ordinal: Int
        static func < (a: Self, b: Self) -> Bool { (a.layer, a.ordinal) < (b.layer, b.ordinal) }
    }

    /// What a name leads to. Hard links are several nodes with one inode.
    struct Inode {
        var location: Location
        var kind: TarEntry.Kind
    }

    struct Node {
        /// Of a directory, by name; nil for everything else.
        var children: [[UInt8]: Int]?
        /// Index into `inodes`; unused for directories.
        var inode = -1
        /// Attributes of a directory; others keep theirs in the layer.
        var directory: TarEntry?
        /// The layer that placed this node.
        var layer: Int
    }

    var nodes: [Node]
    var inodes: [Inode] = []
    /// Entries that stand in no layer, from ``addIfAbsent(_:)``.
    private(set) var additions: [TarEntry] = []
    private(set) var layerCount = 0

    static let root = 0

    public init() {
        nodes = [Node(children: [:], layer: -1)]
    }

    /// Puts the next layer on top.
    /// - Throws: ``ArchiveError/badEntry(name:reason:)`` for entries that no image may have.
    public mutating func apply(_ layer: LayerIndex) throws {
        let number = layerCount
        layerCount += 1
        // A link may name a file of a lower layer that this very layer hides; so lower targets are looked up first.
        let lowerTargets = layer.entries.map { entry -> Int? in
            guard let target = entry.linkTarget, let node = find(target), nodes[node].children == nil else { return nil }
            return nodes[node].inode
        }
        for path in layer.whiteouts { remove(path) }
        for path in layer.opaque { if let node = find(path), nodes[node].children != nil { nodes[node].children = [:] } }
        for (index, entry) in layer.entries.enumerated() {
            let location = Location(layer: number, ordinal: entry.ordinal)
            if let directory = entry.directory {
                placeDirectory(entry.path, directory, layer: number)
            } else if let target = entry.linkTarget {
                guard let inode = try linkInode(entry, target, layer: number, lower: lowerTargets[index]) else { continue }
                place(entry.path, inode: inode, layer: number)
            } else {
                inodes.append(Inode(location: location, kind: entry.kind))
                place(entry.path, inode: inodes.count - 1, layer: number)
            }
        }
    }

    /// The inode a hard link leads to: a file placed earlier by the same layer, else what lower layers show there.
    /// - Returns: nil for a link to itself, which changes nothing.
    private func linkInode(_ entry: LayerIndex.Entry, _ target: EntryPath, layer: Int, lower: Int?) throws -> Int? {
        func failure(_ reason: String) -> ArchiveError {
            ArchiveError.badEntry(name: joined(entry.path), reason: "is a hard link to \"\(String(decoding: joined(target), as: UTF8.self))\", \(reason)")
        }
        if let node = find(target), nodes[node].layer == layer {
            guard nodes[node].children == nil else { throw failure("which is a directory") }
            return target == entry.path ? nil : nodes[node].inode
        }
        if let lower { return lower }
        if find(target) != nil { throw failure("which is a directory") }
        throw failure("which is not there")
    }

    /// Adds an entry without data where the image has nothing at that path.
    /// - Returns: false where something stands there, or a parent is no directory; then nothing was changed.
    @discardableResult
    public mutating func addIfAbsent(_ entry: TarEntry) throws -> Bool {
        let path = try EntryPath(entry.path)
        guard find(path) == nil, parentsAreDirectories(path) else { return false }
        if entry.kind == .directory {
            placeDirectory(path, entry, layer: layerCount)
        } else {
            precondition(entry.kind == .symbolicLink, "only entries without data can be added")
            inodes.append(Inode(location: Location(layer: Int.max, ordinal: additions.count), kind: entry.kind))
            additions.append(entry)
            place(path, inode: inodes.count - 1, layer: layerCount)
        }
        return true
    }

    /// The kind of what stands at a path, links not followed; nil where nothing does.
    public func kind(of path: [UInt8]) throws -> TarEntry.Kind? {
        guard let node = find(try EntryPath(path)) else { return nil }
        return nodes[node].children != nil ? .directory : inodes[nodes[node].inode].kind
    }

    /// Where the file at a path has its data, for reading one small file; nil where no file is there.
    public func file(at path: [UInt8]) throws -> (layer: Int, ordinal: Int)? {
        guard let node = find(try EntryPath(path)), nodes[node].children == nil else { return nil }
        let inode = inodes[nodes[node].inode]
        return inode.kind == .file ? (inode.location.layer, inode.location.ordinal) : nil
    }

    // MARK: The tree

    private func find(_ path: EntryPath) -> Int? {
        var node = Self.root
        for component in path.components {
            guard let next = nodes[node].children?[component] else { return nil }
            node = next
        }
        return node
    }

    private func parentsAreDirectories(_ path: EntryPath) -> Bool {
        var node = Self.root
        for component in path.components.dropLast() {
            guard let next = nodes[node].children?[component] else { return true }
            guard nodes[next].children != nil else { return false }
            node = next
        }
        return true
    }

    private mutating func remove(_ path: EntryPath) {
        guard let last = path.components.last else {
            nodes[Self.root].children = [:]
            return
        }
        var node = Self.root
        for component in path.components.dropLast() {
            guard let next = nodes[node].children?[component] else { return }
            node = next
        }
        nodes[node].children?[last] = nil
    }

    /// The directory that will hold the last component; missing parents, and parents that are no directories, become
    /// directories without attributes of their own.
    private mutating func parent(of path: EntryPath, layer: Int) -> Int {
        var node = Self.root
        for component in path.components.dropLast() {
            if let next = nodes[node].children![component], nodes[next].children != nil {
                node = next
            } else {
                node = append(Node(children: [:], layer: layer), as: component, in: node)
            }
        }
        return node
    }

    private mutating func append(_ new: Node, as name: [UInt8], in parent: Int) -> Int {
        nodes.append(new)
        nodes[parent].children![name] = nodes.count - 1
        return nodes.count - 1
    }

    private mutating func place(_ path: EntryPath, inode: Int, layer: Int) {
        // An entry that claims the root is something else than a directory is no image's.
        guard let name = path.components.last else { return }
        let parent = parent(of: path, layer: layer)
        _ = append(Node(children: nil, inode: inode, layer: layer), as: name, in: parent)
    }

    private mutating func placeDirectory(_ path: EntryPath, _ attributes: TarEntry, layer: Int) {
        guard let name = path.components.last else {
            nodes[Self.root].directory = attributes
            return
        }
        let parent = parent(of: path, layer: layer)
        if let existing = nodes[parent].children![name], nodes[existing].children != nil {
            nodes[existing].directory = attributes
            nodes[existing].layer = layer
        } else {
            _ = append(Node(children: [:], directory: attributes, layer: layer), as: name, in: parent)
        }
    }

    private func joined(_ path: EntryPath) -> [UInt8] { Array(path.components.joined(separator: [UInt8(ascii: "/")])) }
}
