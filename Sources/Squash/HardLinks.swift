import Archive

/// The hard links of an image while its layers are visited from the top down.
///
/// A link's target is what its own layer has said last at that name before the link, seen in the image or not; else what the
/// layers below show there. A link to a link is one more name of the same file. The file that has the data is the *origin*.
/// If its own name isn't seen in the image, the first surviving link (by the bytes of its path) takes its place.
struct HardLinks {
    typealias Location = Flattening.Location

    /// What a layer says at a name.
    enum Said {
        /// Anything but a directory, and its node where it is shown in the image.
        case leaf(Location, node: Int)
        case directory
        static func leaf(_ location: Location) -> Said { .leaf(location, node: -1) }
    }

    /// Attributes of a file that a link's header repeats: some readers set them from the link.
    struct Attributes {
        var mode: UInt32
        var uid: Int64
        var gid: Int64
        var mtime: Int64
        var mtimeNanoseconds: Int32
    }

    private struct Target {
        var location: Location
        /// -1 where it isn't shown.
        var node: Int
        var path: EntryPath
        var attributes: Attributes
    }

    /// Of every link, what it leads to; missing while that is looked for in lower layers.
    private var targets: [Location: Target] = [:]
    /// Links that took a place in the image.
    private var names: [(location: Location, node: Int, path: EntryPath)] = []

    // Of the current layer.
    private var attributes: [Attributes] = []
    /// What it says at names where the image shows something else.
    private var shadow: [EntryPath: Said] = [:]
    private var added: [(target: EntryPath, link: Location, path: EntryPath)] = []

    // Targets looked for in the layers below those of their links.
    private var wanted: [EntryPath: [(link: Location, path: EntryPath)]] = [:]
    /// All directories above them.
    private var aboveWanted: Set<EntryPath> = []
    /// What the current layer says of them: nil where the name ceased to be.
    private var seen: [EntryPath: Said?] = [:]
    private var covered: Set<EntryPath> = []

    /// Every member of the current layer, in its order.
    mutating func remember(_ entry: TarEntry) {
        attributes.append(Attributes(mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, mtimeNanoseconds: entry.mtimeNanoseconds))
    }

    mutating func shadow(_ path: EntryPath, _ said: Said) { shadow[path] = said }
    func shadowed(_ path: EntryPath) -> Said? { shadow.isEmpty ? nil : shadow[path] }

    /// A link of the current layer.
    /// - Parameter own: what the layer itself has said at the target.
    mutating func add(_ link: Location, _ path: EntryPath, _ target: EntryPath, own: Said?) throws {
        switch own {
        case .leaf(let location, let node)?:
            // A link to a link leads straight to what that leads to: chains stay short however long they are made.
            targets[link] = targets[location] ?? Target(location: location, node: node, path: target, attributes: attributes[location.ordinal])
        case .directory?: throw Self.failure(path, target, "which is a directory")
        case nil: added.append((target, link, path))
        }
    }

    /// A link of the current layer is shown in the image.
    mutating func named(_ placement: Flattening.Placement) { names.append((placement.location, placement.node, placement.path)) }

    // MARK: Looking in lower layers

    /// An entry of the current layer, shown or not.
    mutating func saw(_ path: EntryPath, _ said: Said) {
        guard !wanted.isEmpty else { return }
        if wanted[path] != nil { seen[path] = said }
        for depth in 0..<path.components.count where wanted[path.prefix(depth)] != nil { seen[path.prefix(depth)] = .directory }
        // What is no directory leaves nothing of what was below it.
        if case .leaf = said, aboveWanted.contains(path) {
            for target in wanted.keys where target.isBelow(path) { seen[target] = .some(nil) }
        }
    }

    /// A whiteout or an opaque marker of the current layer.
    mutating func sawHidden(_ path: EntryPath, itself: Bool) {
        guard !wanted.isEmpty else { return }
        if itself, wanted[path] != nil { covered.insert(path) }
        if aboveWanted.contains(path) { covered.formUnion(wanted.keys.filter { $0.isBelow(path) }) }
    }

    var areWanted: Bool { !wanted.isEmpty }

    /// All that the current layer and those below it show.
    mutating func sawWhitelist(_ paths: Set<EntryPath>) {
        covered.formUnion(wanted.keys.filter { !paths.contains($0) })
    }

    /// - Parameter node: the node of a path, or -1.
    mutating func endLayer(node: (EntryPath) -> Int) throws {
        var failed: [Unresolved] = []
        for (target, links) in wanted {
            switch seen[target] {
            case .some(.some(.leaf(let location, _))):
                let found = Target(location: location, node: node(target), path: target, attributes: attributes[location.ordinal])
                for link in links { targets[link.link] = found }
                wanted[target] = nil
            case .some(.some(.directory)): failed += links.map { ($0.link, $0.path, target, "which is a directory") }
            case .some(.none): failed += links.map { ($0.link, $0.path, target, "which is not there") }
            case .none: if covered.contains(target) { failed += links.map { ($0.link, $0.path, target, "which is not there") } }
            }
        }
        try Self.check(failed)
        for (target, link, path) in added { wanted[target, default: []].append((link, path)) }
        aboveWanted = Set(wanted.keys.flatMap { target in target.components.indices.map { target.prefix($0) } })
        added = []
        attributes.removeAll(keepingCapacity: true)
        shadow = [:]
        seen = [:]
        covered = []
    }

    /// After the base layer nothing may be left to look for.
    func finish() throws {
        try Self.check(wanted.flatMap { target, links in links.map { ($0.link, $0.path, target, "which is not there") } })
    }

    private typealias Unresolved = (link: Location, path: EntryPath, target: EntryPath, reason: String)

    /// Of several the first is told, of the uppermost layer.
    private static func check(_ failed: [Unresolved]) throws {
        guard let first = failed.max(by: { ($0.link.layer, -$0.link.ordinal) < ($1.link.layer, -$1.link.ordinal) }) else { return }
        throw LayerError(layer: first.link.layer, error: failure(first.path, first.target, first.reason))
    }

    static func failure(_ path: EntryPath, _ target: EntryPath, _ reason: String) -> ArchiveError {
        ArchiveError.badEntry(name: path.bytes, reason: "is a hard link to \"\(String(decoding: target.bytes, as: UTF8.self))\", \(reason)")
    }

    // MARK: The result

    struct Result {
        /// Files whose own name isn't seen, by layer and position, and the name they get.
        var promoted: [Int: [Int: [UInt8]]] = [:]
        /// Sorted by path.
        var links: [TarEntry] = []
    }

    /// - Parameter shows: whether an entry is what the image shows at a node.
    func result(_ shows: (Location, Int) -> Bool) -> Result {
        var result = Result()
        var homeless: [Location: (target: Target, paths: [[UInt8]])] = [:]
        for name in names where shows(name.location, name.node) {
            let target = target(of: name.location)
            if target.node >= 0, shows(target.location, target.node) {
                result.links.append(Self.link(name.path.bytes, to: target.path.bytes, target.attributes))
            } else {
                homeless[target.location, default: (target, [])].paths.append(name.path.bytes)
            }
        }
        for (location, (target, paths)) in homeless {
            let paths = paths.sorted { $0.lexicographicallyPrecedes($1) }
            result.promoted[location.layer, default: [:]][location.ordinal] = paths[0]
            for path in paths.dropFirst() { result.links.append(Self.link(path, to: paths[0], target.attributes)) }
        }
        result.links.sort { $0.path.lexicographicallyPrecedes($1.path) }
        return result
    }

    /// The entry that has the data.
    func origin(_ location: Location) -> Location { targets[location] == nil ? location : target(of: location).location }

    /// The last target of a chain of links. Chains end: a link leads to an earlier entry, or to a lower layer.
    private func target(of link: Location) -> Target {
        var target = targets[link]!
        while let next = targets[target.location] { target = next }
        return target
    }

    private static func link(_ path: [UInt8], to target: [UInt8], _ attributes: Attributes) -> TarEntry {
        TarEntry(
            path: path, kind: .hardLink, mode: attributes.mode, uid: attributes.uid, gid: attributes.gid, mtime: attributes.mtime,
            mtimeNanoseconds: attributes.mtimeNanoseconds, linkTarget: target)
    }
}
