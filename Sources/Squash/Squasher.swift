import Archive
import Diagnostics

/// Where a squasher gets its layers.
public protocol LayerProvider {
    /// How many there are.
    var layerCount: Int { get }
    /// Bytes of a layer as served, perhaps compressed.
    func servedSize(_ layer: Int) throws -> Int
    /// A layer's uncompressed tar, base is 0, from its beginning. It is read to its end once, and its source throws there where
    /// the bytes are not the ones that were promised; where only a part is needed, `checked` is false.
    func open(_ layer: Int, checked: Bool) throws -> any ByteSource
    /// The beginning of a layer's tar, perhaps not all of it and perhaps wrong: what is read there is a guess.
    func beginning(_ layer: Int) throws -> any ByteSource
    /// The members of a layer that was read before, and is known to be whole and within all limits; nil where its bytes must be read.
    func members(_ layer: Int) throws -> (any MemberReader)?
    /// What names of the layers' members mean.
    var dialect: Dialect { get }
    /// What a layer and those below it show at most; nil for all.
    func whitelist(_ layer: Int) throws -> Whitelist?
}

/// The only paths that some layers show. The root is always shown.
public struct Whitelist: Sendable {
    /// Without a slash at either end.
    public var paths: [[UInt8]]
    /// The lowest layer that it holds for. Whitelists of lower layers reach no further down than those above them, or begin below.
    public var lowest: Int

    public init(paths: [[UInt8]], lowest: Int = 0) { (self.paths, self.lowest) = (paths, lowest) }
}

extension LayerProvider {
    public var dialect: Dialect { .layer }
    public func beginning(_ layer: Int) throws -> any ByteSource { try open(layer, checked: false) }
    public func whitelist(_ layer: Int) -> Whitelist? { nil }
    public func members(_ layer: Int) throws -> (any MemberReader)? { nil }
}

/// Something is wrong in a layer (base is 0).
public struct LayerError: Error, Equatable {
    public var layer: Int
    public var error: ArchiveError
}

/// Squashes layers into one tree and writes it as tar entries, in this order:
///
/// 1. the root directory;
/// 2. layer by layer *from the top*, what the image shows of the layer, in the order of the layer's tar; before an entry those
///    directories above it that nothing has named so far;
/// 3. files whose own name isn't seen any more, but a hard link of theirs is, layer by layer from the top;
/// 4. what was added, which is in no layer;
/// 5. hard links, by the bytes of their paths.
///
/// So a directory stands before what is in it and a link after what it leads to; and the order follows from the layers alone:
/// the same image is always the same bytes.
///
/// What a layer shows depends on the layers above it only (see ``Flattening``). So most images are written while each layer
/// is read once. Where a later entry overturns what was written, the caller begins again with a plan: all layers are read,
/// then read again and written. Both ways write the same bytes. Memory grows with the number of paths, never with data.
public struct Squasher {
    /// What was written can't stand: plan, and write again from the beginning.
    public struct NeedsPlan: Error {}

    private let provider: any LayerProvider
    private let layers: LayerReader
    private var flattening: Flattening
    /// For each layer, what to write of it; nil before ``plan()``.
    private var placements: [[Flattening.Placement]]?

    public init(_ provider: any LayerProvider, limits: Limits = Limits()) {
        self.provider = provider
        layers = LayerReader(provider, limits)
        flattening = Flattening(layers: provider.layerCount, dialect: provider.dialect, mayOverturn: false)
    }

    /// A member of a layer at whose place something is written.
    public struct Origin {
        public var layer: Int
        /// Among the members of the layer's tar.
        public var ordinal: Int
        /// Where it begins there, in bytes.
        public var position: Int
    }

    /// Is given an entry, what its data must be read from if it has any, and where it comes from: nothing for what stands before
    /// and after the layers.
    public typealias Output = (TarEntry, (any MemberReader)?, Origin?) throws -> Void

    // MARK: Planning

    /// Reads all layers and decides what will be written.
    /// - Throws: ``LayerError``, and errors of the provider.
    public mutating func plan() throws {
        flattening = Flattening(layers: provider.layerCount, dialect: provider.dialect, mayOverturn: true)
        var all = [[Flattening.Placement]](repeating: [], count: provider.layerCount)
        let counter = layers.counter
        for layer in (0..<provider.layerCount).reversed() {
            try visit(layer, counter) { placement, _, _, _ in all[layer].append(placement) }
        }
        placements = all.map { [flattening] in
            $0.filter { placement in flattening.shows(placement) || placement.parents.contains { flattening.shows(placement.location, at: $0.node) } }
        }
    }

    /// Where the file at a path has its data, hard links followed, once there is a plan; nil where no file is there.
    public func origin(of path: [UInt8]) throws -> (layer: Int, ordinal: Int)? {
        precondition(placements != nil, "plan first")
        return flattening.origin(try EntryPath(path)).map { ($0.layer, $0.ordinal) }
    }

    // MARK: Writing

    /// Writes the image.
    /// - Parameters:
    ///   - additions: entries without data that are added where the image has nothing at their path.
    /// - Throws: ``NeedsPlan``, ``LayerError``, and errors of the provider and of `body`.
    public mutating func write(adding additions: [TarEntry] = [], _ body: Output) throws {
        do {
            if placements == nil { try stream(body) } else { try writePlanned(body) }
        } catch is Flattening.Overturned { throw NeedsPlan() }
        let links = flattening.hardLinks()
        for (layer, paths) in links.promoted.sorted(by: { $0.key > $1.key }) {
            try layers.readAgain(layer, through: paths.keys.max()!) { entry, ordinal, reader in
                guard let path = paths[ordinal] else { return }
                var entry = entry
                entry.path = path
                try body(entry, reader, nil)
            }
        }
        for addition in additions { try add(addition, body) }
        for link in links.links { try body(link, nil, nil) }
    }

    /// Whether the image shows something else than a directory at a path, once it was written.
    public func showsLeaf(at path: [UInt8]) throws -> Bool { flattening.kind(try EntryPath(path)) == .leaf }

    /// Reads a layer for the first time and passes on what the image shows of it.
    private mutating func visit(_ layer: Int, _ counter: Counter, _ body: (Flattening.Placement, TarEntry, any MemberReader, Flattening) throws -> Void) throws
    {
        try flattening.beginLayer(whitelist: provider.whitelist(layer))
        try layers.read(layer, counter) { entry, reader in
            try counter.check(paths: flattening.pathCount, entry)
            if let placement = try flattening.visit(entry) { try body(placement, entry, reader, flattening) }
        }
        try flattening.endLayer()
    }

    /// Writes while reading each layer once.
    private mutating func stream(_ body: Output) throws {
        try expectRoot()
        try body(flattening.rootDirectory, nil, nil)
        let counter = layers.counter
        for layer in (0..<provider.layerCount).reversed() {
            try visit(layer, counter) { try Self.write($0, $1, $2, $3, body) }
        }
    }

    /// The root stands first, whichever layer names it. Those that do mostly do so at their beginning: that much is looked up. What
    /// turns out to be otherwise, or to be no archive, is found when the layer is read.
    private mutating func expectRoot() throws {
        for layer in (0..<provider.layerCount).reversed() {
            do {
                let reader = try provider.members(layer) ?? TarReader(provider.beginning(layer))
                while let entry = try reader.next(), reader.headerPosition < 1 << 20 {
                    guard entry.kind == .directory, case .entry(let path)? = try? provider.dialect.meaning(entry.path), path.components.isEmpty else {
                        continue
                    }
                    flattening.expectRoot(entry, layer: layer)
                    return
                }
            } catch is ArchiveError {}
        }
    }

    private func writePlanned(_ body: Output) throws {
        try body(flattening.rootDirectory, nil, nil)
        for layer in (0..<provider.layerCount).reversed() {
            guard let last = placements![layer].last else { continue }
            var next = placements![layer][...]
            try layers.readAgain(layer, through: last.location.ordinal) { entry, ordinal, reader in
                guard let placement = next.first, placement.location.ordinal == ordinal else { return }
                next.removeFirst()
                try Self.write(placement, entry, reader, flattening, body)
            }
        }
    }

    private static func write(
        _ placement: Flattening.Placement, _ entry: TarEntry, _ reader: any MemberReader, _ flattening: Flattening, _ body: Output
    ) throws {
        let origin = Origin(layer: placement.location.layer, ordinal: placement.location.ordinal, position: reader.headerPosition)
        for (node, depth) in placement.parents where flattening.shows(placement.location, at: node) {
            try body(flattening.directory(node, path: placement.path.prefix(depth).bytes), nil, origin)
        }
        guard flattening.shows(placement) else { return }
        if entry.kind == .directory {
            try body(flattening.directory(placement.node, path: placement.path.bytes), nil, origin)
        } else {
            var entry = entry
            entry.path = placement.path.bytes
            try body(entry, reader, origin)
        }
    }

    private mutating func add(_ addition: TarEntry, _ body: Output) throws {
        precondition(addition.kind == .directory || addition.kind == .symbolicLink, "only entries without data can be added")
        let path = try EntryPath(addition.path)
        guard let parents = flattening.addIfAbsent(path, directory: addition.kind == .directory) else { return }
        for depth in parents { try body(TarEntry(path: path.prefix(depth).bytes, kind: .directory, mode: 0o755), nil, nil) }
        var entry = addition
        entry.path = path.bytes
        try body(entry, nil, nil)
    }
}
