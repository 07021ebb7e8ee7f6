import Archive

/// Takes an image apart, from the base up: for each layer, the entries and the whitelist of an image that, on top of those made
/// of the layers below, shows what the layers so far show (appc spec `aci.md#dependency-matching`, `pathWhitelist`).
///
/// A layer's image has the layer's own entries in their order, under canonical names and without its markers. What the markers
/// and the entries hide, the whitelist leaves out. Then come the directories that nothing has named (`a` where there is only
/// `a/b`), if what is below shows no directory there; where it does, that one's attributes stay.
public struct LayerSplitter {
    private struct Node {
        var children: [[UInt8]: Int] = [:]
        var isDirectory: Bool
        /// Whether an entry made it, not only what is in it.
        var isNamed: Bool
    }

    private static let root = 0

    private let layers: LayerReader
    private let dialect: Dialect
    private let counter: Counter
    private var layer = -1
    private var nodes = [Node(isDirectory: true, isNamed: true)]
    private var rootDirectory = TarEntry(path: [], kind: .directory, mode: 0o755)

    // Of the current layer.
    private var count = 0
    /// Directories that it has made without naming them.
    private var implied: [(node: Int, path: EntryPath)] = []
    private var added: [TarEntry] = []
    /// Whether markers of the current layer hide anything. Where they don't, entries alone show what is to be seen.
    public private(set) var hides = false

    public init(_ provider: any LayerProvider, limits: Limits = Limits()) {
        layers = LayerReader(provider, limits)
        dialect = provider.dialect
        counter = layers.counter
    }

    // MARK: The tree

    /// Goes on to the next layer, the base first, and reads it.
    /// - Throws: ``LayerError``, and errors of the provider.
    public mutating func next() throws {
        layer += 1
        (count, implied, added, hides) = (0, [], [], false)
        var members: [(path: EntryPath, entry: TarEntry)] = []
        var markers: [EntryMeaning] = []
        // What the layer itself has said at a name: whether it is a directory.
        var said: [EntryPath: Bool] = [:]
        try layers.read(layer, counter) { entry, _ in
            count += 1
            switch try dialect.meaning(entry.path) {
            case .ignored: break
            case .entry(let path):
                guard entry.kind == .directory || !path.components.isEmpty else {
                    throw ArchiveError.badEntry(name: entry.path, reason: "would replace the root directory")
                }
                if entry.kind == .hardLink {
                    let target = try dialect.target(of: entry)
                    if target == path { break }
                    try check(path, target, said[target])
                }
                said[path] = entry.kind == .directory
                members.append((path, entry))
            case let marker: markers.append(marker)
            }
        }
        // A layer's markers speak about lower layers only, wherever they stand.
        for marker in markers { hide(marker) }
        for (path, entry) in members {
            place(path, entry)
            do { try counter.check(paths: nodes.count - 1, entry) } catch let error as ArchiveError { throw LayerError(layer: layer, error: error) }
        }
        implied = implied.filter { find($0.path) == $0.node && !nodes[$0.node].isNamed }
    }

    /// Adds entries without data to the current layer, where nothing is shown at their path.
    public mutating func add(_ additions: [TarEntry]) throws {
        for addition in additions {
            let path = try EntryPath(addition.path)
            guard canAdd(path) else { continue }
            var entry = addition
            entry.path = path.bytes
            place(path, entry)
            added.append(entry)
        }
    }

    /// Whether something else than a directory is shown at a path.
    public func showsLeaf(at path: [UInt8]) throws -> Bool { find(try EntryPath(path)).map { !nodes[$0].isDirectory } ?? false }

    /// All paths that are shown with the layers so far, without a slash at either end and without the root; sorted, parents first.
    public func paths() -> [[UInt8]] {
        var result: [[UInt8]] = []
        var stack: [(node: Int, path: [UInt8])] = [(Self.root, [])]
        while let (node, path) = stack.popLast() {
            if node != Self.root { result.append(path) }
            for (name, child) in nodes[node].children.sorted(by: { $1.key.lexicographicallyPrecedes($0.key) }) {
                stack.append((child, path.isEmpty ? name : path + [UInt8(ascii: "/")] + name))
            }
        }
        return result
    }

    private func check(_ path: EntryPath, _ target: EntryPath, _ said: Bool?) throws {
        // What lower layers show, even where this layer hides it.
        guard let isDirectory = said ?? find(target).map({ nodes[$0].isDirectory }) else {
            throw HardLinks.failure(path, target, "which is not there")
        }
        if isDirectory { throw HardLinks.failure(path, target, "which is a directory") }
    }

    private func find(_ path: EntryPath) -> Int? {
        var node = Self.root
        for component in path.components {
            guard let next = nodes[node].children[component] else { return nil }
            node = next
        }
        return node
    }

    private mutating func hide(_ marker: EntryMeaning) {
        switch marker {
        case .whiteout(let path):
            guard let parent = find(path.prefix(path.components.count - 1)) else { return }
            if nodes[parent].children.removeValue(forKey: path.components.last!) != nil { hides = true }
        case .opaque(let path):
            guard let directory = find(path), !nodes[directory].children.isEmpty else { return }
            nodes[directory].children = [:]
            hides = true
        case .entry, .ignored: break
        }
    }

    private mutating func place(_ path: EntryPath, _ entry: TarEntry) {
        guard let name = path.components.last else {
            rootDirectory = entry
            return
        }
        var parent = Self.root
        for (depth, component) in path.components.dropLast().enumerated() {
            if let next = nodes[parent].children[component], nodes[next].isDirectory {
                parent = next
            } else {
                parent = make(component, in: parent, Node(isDirectory: true, isNamed: false))
                implied.append((parent, path.prefix(depth + 1)))
            }
        }
        if entry.kind == .directory, let there = nodes[parent].children[name], nodes[there].isDirectory {
            nodes[there].isNamed = true
        } else {
            _ = make(name, in: parent, Node(isDirectory: entry.kind == .directory, isNamed: true))
        }
    }

    private mutating func make(_ name: [UInt8], in parent: Int, _ node: Node) -> Int {
        nodes.append(node)
        nodes[parent].children[name] = nodes.count - 1
        return nodes.count - 1
    }

    private func canAdd(_ path: EntryPath) -> Bool {
        var node = Self.root
        for component in path.components {
            guard nodes[node].isDirectory else { return false }
            guard let next = nodes[node].children[component] else { return true }
            node = next
        }
        return false
    }

    // MARK: Writing

    /// Writes the current layer's entries, the root directory first.
    /// - Parameter body: is given an entry and must read its data from the reader, if it has any.
    /// - Throws: ``LayerError``, and errors of the provider and of `body`.
    public func write(_ body: (TarEntry, (any MemberReader)?) throws -> Void) throws {
        var root = rootDirectory
        root.path = []
        try body(root, nil)
        try layers.readAgain(layer, through: count - 1) { entry, _, reader in
            guard case .entry(let path) = try dialect.meaning(entry.path), !path.components.isEmpty else { return }
            var entry = entry
            if entry.kind == .hardLink {
                let target = try dialect.target(of: entry)
                if target == path { return }
                entry.linkTarget = target.bytes
            }
            entry.path = path.bytes
            try body(entry, reader)
        }
        // After the links, which may lead to what stood there before.
        for (_, path) in implied { try body(TarEntry(path: path.bytes, kind: .directory, mode: 0o755), nil) }
        for entry in added { try body(entry, nil) }
    }
}
