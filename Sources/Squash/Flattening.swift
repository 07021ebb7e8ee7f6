import Archive

/// Which entry of which layer an image shows at each path, decided from the top layer down.
///
/// Layers are numbered from the base, 0, and visited from the top; their entries are visited in the order of their tar.
/// What is seen first at a path is what the image shows there, because nothing below can change it. What a layer does to
/// the layers below it is kept in two numbers of a node, `hidden` and `hiddenBelow`:
///
/// * a whiteout, or anything that is no directory, hides the path and all below it in lower layers;
/// * an opaque marker hides all below a directory in lower layers, not the directory itself;
/// * directories of the same path merge, and the uppermost one's attributes are shown.
///
/// A layer speaks about lower layers only, so where its whiteouts stand among its own entries makes no difference. Paths
/// are resolved by their components alone, never through a symbolic link.
///
/// Two things can make a decision wrong afterwards: a name that stands twice in one layer, of which the last wins, and a
/// directory that no entry had named when something in it was shown, but a later entry does. Such a decision is *overturned*.
/// Who plans first and writes later lets that happen; who has written already must begin again, with a plan.
struct Flattening {
    /// Where an entry stands: its layer, and its position among the members of the layer's tar.
    struct Location: Hashable {
        var layer: Int
        var ordinal: Int
    }

    /// What is written when an entry is met.
    struct Placement {
        var location: Location
        var node: Int
        var path: EntryPath
        /// Directories above it that nothing has named so far, outermost first, by their number of components.
        var parents: [(node: Int, depth: Int)]
        /// The entry itself isn't written here: it is hidden, or a hard link, which stands at the end.
        var parentsOnly: Bool
    }

    /// What was written can't stand.
    struct Overturned: Error {}

    enum Kind { case unclaimed, directory, leaf }

    private struct Node {
        var children: [[UInt8]: Int] = [:]
        var kind = Kind.unclaimed
        /// The entry that claimed this path: for a directory that no entry names, the first one in it.
        var location = Location(layer: .max, ordinal: 0)
        /// Of a directory: index of its attributes, -1 where no entry has named it; and the layer that did.
        var attributes = -1
        var attributesLayer = -1
        /// Layers with a lower number show nothing at this path, and nothing below it.
        var hidden = 0
        /// Layers with a lower number show nothing below this path.
        var hiddenBelow = 0
        /// How many of the whitelists that hold have this path, one after the other.
        var allowed = 0
    }

    private static let root = 0

    private var nodes: [Node]
    private var directoryAttributes: [TarEntry] = []
    private var links: HardLinks
    private let dialect: Dialect
    private let mayOverturn: Bool
    private(set) var layer: Int
    /// The whitelists that hold for the current layer, the upper one first: how far down, and what they allowed beyond those above.
    private var whitelists: [(lowest: Int, nodes: [Int])] = []
    private var ordinal = 0

    /// - Parameter mayOverturn: false where every placement is written at once; then ``Overturned`` is thrown.
    init(layers: Int, dialect: Dialect = .layer, mayOverturn: Bool) {
        self.dialect = dialect
        self.mayOverturn = mayOverturn
        layer = layers - 1
        nodes = [Node(kind: .directory)]
        links = HardLinks()
    }

    /// Paths that anything was said of.
    var pathCount: Int { nodes.count - 1 }

    // MARK: Visiting

    /// What the current layer, which was not visited yet, and those below it show at most.
    mutating func beginLayer(whitelist: Whitelist?) throws {
        while let last = whitelists.last, layer < last.lowest {
            for node in last.nodes { nodes[node].allowed -= 1 }
            whitelists.removeLast()
        }
        nodes[Self.root].allowed = whitelists.count
        guard let whitelist else { return }
        var paths: Set<EntryPath> = []
        var allowed: [Int] = []
        for text in whitelist.paths {
            guard !text.isEmpty, let path = try? EntryPath(text) else { continue }
            if links.areWanted { paths.insert(path) }
            // What an upper whitelist lacks is not looked at again: memory grows with the first one only.
            guard let node = whitelists.isEmpty ? path.components.reduce(Self.root, { child($1, of: $0) }) : Self.find(path, nodes) else { continue }
            guard nodes[node].allowed == whitelists.count, node != Self.root else { continue }
            nodes[node].allowed += 1
            allowed.append(node)
        }
        whitelists.append((whitelist.lowest, allowed))
        nodes[Self.root].allowed = whitelists.count
        // Below where it ends a file may be found yet.
        if whitelist.lowest == 0 { links.sawWhitelist(paths) }
    }

    /// The next entry of the current layer.
    /// - Returns: what the image shows of it; nil for nothing.
    /// - Throws: ``Overturned``, and ``LayerError`` for entries that no image may have.
    mutating func visit(_ entry: TarEntry) throws -> Placement? {
        let location = Location(layer: layer, ordinal: ordinal)
        ordinal += 1
        links.remember(entry)
        do {
            switch try dialect.meaning(entry.path) {
            case .ignored: return nil
            case .whiteout(let path):
                hide(path, itself: true)
                return nil
            case .opaque(let path):
                hide(path, itself: false)
                return nil
            case .entry(let path):
                if entry.kind == .directory { return try placeDirectory(path, entry, location) }
                guard !path.components.isEmpty else { throw ArchiveError.badEntry(name: entry.path, reason: "would replace the root directory") }
                guard entry.kind == .hardLink else { return try placeLeaf(path, location) }
                return try placeLink(path, entry, location)
            }
        } catch let error as ArchiveError { throw LayerError(layer: layer, error: error) }
    }

    /// The current layer has no more entries; the next one below follows.
    mutating func endLayer() throws {
        try links.endLayer { [nodes] path in Self.find(path, nodes) ?? -1 }
        layer -= 1
        ordinal = 0
        if layer < 0 { try links.finish() }
    }

    /// Names the root's attributes before the layer that has them is visited, where somebody has looked ahead.
    mutating func expectRoot(_ entry: TarEntry, layer: Int) {
        setAttributes(Self.root, entry, layer: layer)
    }

    private mutating func placeLeaf(_ path: EntryPath, _ location: Location) throws -> Placement? {
        links.saw(path, .leaf(location))
        guard let chain = walk(path) else {
            links.shadow(path, .leaf(location))
            return try hiddenPlacement(path, location)
        }
        let node = chain.last!
        if nodes[node].kind == .directory {
            try retract(below: node, path)
            if nodes[node].location.layer > layer {
                // An upper layer's directory stays; what lower layers have there is hidden by this, seen or not.
                if nodes[node].attributesLayer == layer {
                    try overturn()
                    nodes[node].attributes = -1
                }
                hideLower(node, itself: true)
                links.shadow(path, .leaf(location))
                return nil
            }
        }
        if nodes[node].kind != .unclaimed { try overturn() }
        nodes[node].kind = .leaf
        nodes[node].location = location
        nodes[node].attributes = -1
        hideLower(node, itself: true)
        return Placement(location: location, node: node, path: path, parents: try claim(chain.dropLast(), path, location), parentsOnly: false)
    }

    private mutating func placeDirectory(_ path: EntryPath, _ entry: TarEntry, _ location: Location) throws -> Placement? {
        links.saw(path, .directory)
        guard let chain = walk(path) else {
            links.shadow(path, .directory)
            return try hiddenPlacement(path, location)
        }
        let node = chain.last!
        if nodes[node].kind == .directory {
            if nodes[node].attributes < 0 || nodes[node].attributesLayer <= layer {
                if nodes[node].attributes < 0 || !sameAttributes(directoryAttributes[nodes[node].attributes], entry) { try overturn() }
                setAttributes(node, entry, layer: layer)
            } else {
                links.shadow(path, .directory)
            }
            return nil
        }
        if nodes[node].kind == .leaf { try overturn() }
        nodes[node].kind = .directory
        nodes[node].location = location
        setAttributes(node, entry, layer: layer)
        return Placement(location: location, node: node, path: path, parents: try claim(chain.dropLast(), path, location), parentsOnly: false)
    }

    private mutating func placeLink(_ path: EntryPath, _ entry: TarEntry, _ location: Location) throws -> Placement? {
        let target = try dialect.target(of: entry)
        // A link to itself changes nothing.
        if target == path { return nil }
        try links.add(location, path, target, own: said(target))
        var placement = try placeLeaf(path, location)
        if let shown = placement, !shown.parentsOnly {
            links.named(shown)
            placement!.parentsOnly = true
        }
        return placement
    }

    /// What the current layer itself has said last at a path.
    private func said(_ path: EntryPath) -> HardLinks.Said? {
        if let node = Self.find(path, nodes) {
            if nodes[node].kind == .leaf, nodes[node].location.layer == layer { return .leaf(nodes[node].location, node: node) }
            if nodes[node].kind == .directory, nodes[node].attributes >= 0, nodes[node].attributesLayer == layer { return .directory }
        }
        return links.shadowed(path)
    }

    // MARK: The tree

    private static func find(_ path: EntryPath, _ nodes: [Node]) -> Int? {
        var node = root
        for component in path.components {
            guard let next = nodes[node].children[component] else { return nil }
            node = next
        }
        return node
    }

    private mutating func child(_ name: [UInt8], of node: Int) -> Int {
        if let next = nodes[node].children[name] { return next }
        nodes.append(Node())
        nodes[node].children[name] = nodes.count - 1
        return nodes.count - 1
    }

    /// The nodes along a path, made where missing; nil where upper layers hide what the current one has there.
    private mutating func walk(_ path: EntryPath) -> [Int]? {
        let (chain, complete) = visibleChain(path)
        return complete && layer >= nodes[chain.last!].hidden && isAllowed(chain.last!) ? chain : nil
    }

    private func isAllowed(_ node: Int) -> Bool { nodes[node].allowed == whitelists.count }

    /// The nodes along a path as far as upper layers let the current one show anything.
    private mutating func visibleChain(_ path: EntryPath) -> (chain: [Int], complete: Bool) {
        var chain = [Self.root]
        chain.reserveCapacity(path.components.count + 1)
        for component in path.components {
            let node = chain[chain.count - 1]
            if layer < nodes[node].hiddenBelow { return (chain, false) }
            chain.append(child(component, of: node))
        }
        return (chain, true)
    }

    /// What is hidden still makes its parents directories, as far up as they aren't hidden too.
    private mutating func hiddenPlacement(_ path: EntryPath, _ location: Location) throws -> Placement? {
        let (chain, complete) = visibleChain(path)
        let last = chain.last!
        var shown = complete || layer < nodes[last].hidden ? chain.dropLast() : chain[...]
        while let last = shown.last, !isAllowed(last) { shown.removeLast() }
        let parents = try claim(shown, path, location)
        return parents.isEmpty ? nil : Placement(location: location, node: last, path: path, parents: parents, parentsOnly: true)
    }

    /// Makes everything along a path a directory.
    /// - Returns: those that no entry has named so far.
    private mutating func claim(_ chain: ArraySlice<Int>, _ path: EntryPath, _ location: Location) throws -> [(node: Int, depth: Int)] {
        var result: [(node: Int, depth: Int)] = []
        for (depth, node) in chain.enumerated() where nodes[node].kind != .directory {
            if nodes[node].kind == .leaf {
                // This layer's own, or the path would have been hidden.
                try overturn()
                links.shadow(path.prefix(depth), .leaf(nodes[node].location))
            }
            nodes[node].kind = .directory
            nodes[node].location = location
            nodes[node].attributes = -1
            result.append((node, depth))
        }
        return result
    }

    private mutating func hide(_ path: EntryPath, itself: Bool) {
        links.sawHidden(path, itself: itself)
        guard let chain = walk(path) else { return }
        hideLower(chain.last!, itself: itself)
    }

    private mutating func hideLower(_ node: Int, itself: Bool) {
        if itself { nodes[node].hidden = max(nodes[node].hidden, layer) }
        nodes[node].hiddenBelow = max(nodes[node].hiddenBelow, layer)
    }

    /// Takes back what the current layer has placed below a path, where a later entry of the same layer replaces it.
    private mutating func retract(below top: Int, _ path: EntryPath) throws {
        // Not recursive: a hostile image may nest deeper than the stack.
        var stack = nodes[top].children.map { (node: $0.value, path: path + $0.key) }
        while let (node, path) = stack.popLast() {
            stack += nodes[node].children.map { (node: $0.value, path: path + $0.key) }
            if nodes[node].kind == .directory, nodes[node].attributes >= 0, nodes[node].attributesLayer == layer {
                try overturn()
                links.shadow(path, .directory)
                nodes[node].attributes = -1
            }
            guard nodes[node].kind != .unclaimed, nodes[node].location.layer == layer else { continue }
            try overturn()
            if nodes[node].kind == .leaf { links.shadow(path, .leaf(nodes[node].location)) }
            nodes[node].kind = .unclaimed
        }
    }

    private func overturn() throws {
        if !mayOverturn { throw Overturned() }
    }

    private mutating func setAttributes(_ node: Int, _ entry: TarEntry, layer: Int) {
        directoryAttributes.append(entry)
        nodes[node].attributes = directoryAttributes.count - 1
        nodes[node].attributesLayer = layer
    }

    private func sameAttributes(_ a: TarEntry, _ b: TarEntry) -> Bool {
        var b = b
        b.path = a.path
        return a == b
    }

    // MARK: The result

    /// Whether an entry still is what the image shows at a node.
    func shows(_ location: Location, at node: Int) -> Bool { nodes[node].kind != .unclaimed && nodes[node].location == location }

    /// Whether the entry of a placement itself is to be written at its place.
    func shows(_ placement: Placement) -> Bool { !placement.parentsOnly && shows(placement.location, at: placement.node) }

    /// A directory as the image shows it: 0755, root's, of 1970 where no layer names it.
    func directory(_ node: Int, path: [UInt8]) -> TarEntry {
        let index = nodes[node].attributes
        var entry = index >= 0 ? directoryAttributes[index] : TarEntry(path: path, kind: .directory, mode: 0o755)
        entry.path = path
        return entry
    }

    var rootDirectory: TarEntry { directory(Self.root, path: []) }

    /// The hard links that are left, when all layers were visited.
    func hardLinks() -> HardLinks.Result { links.result { shows($0, at: $1) && nodes[$1].kind == .leaf } }

    func kind(_ path: EntryPath) -> Kind { Self.find(path, nodes).map { nodes[$0].kind } ?? .unclaimed }

    /// The entry that has the data of a file, hard links followed; nil where no layer has anything but directories there.
    func origin(_ path: EntryPath) -> Location? {
        guard let node = Self.find(path, nodes), nodes[node].kind == .leaf else { return nil }
        return links.origin(nodes[node].location)
    }

    /// Adds an entry that no layer has, when all were visited, where nothing is shown at its path.
    /// - Returns: the directories above it that have to be made; nil where it can't be added.
    mutating func addIfAbsent(_ path: EntryPath, directory: Bool) -> [Int]? {
        var node = Self.root
        var made: [Int] = []
        for (depth, component) in path.components.enumerated() {
            guard nodes[node].kind == .directory else { return nil }
            node = child(component, of: node)
            if nodes[node].kind == .unclaimed {
                nodes[node].kind = .directory
                nodes[node].attributes = -1
                made.append(depth + 1)
            } else if depth == path.components.count - 1 {
                return nil
            }
        }
        guard !path.components.isEmpty else { return nil }
        nodes[node].kind = directory ? .directory : .leaf
        return made.dropLast()
    }
}
