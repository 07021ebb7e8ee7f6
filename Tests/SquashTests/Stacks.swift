import Archive
import TestSupport

@testable import Squash

/// Layers in memory, for a squasher.
struct Stack: LayerProvider {
    var layers: [[(entry: TarEntry, content: [UInt8])]] = []
    private var tars: [[UInt8]] = []
    private var whitelists: [[[UInt8]]]?

    init(_ layers: [[(entry: TarEntry, content: [UInt8])]]) throws {
        self.layers = layers
        tars = try layers.map { try tar($0) }
    }

    /// Layers that are tars already.
    init(tars: [[UInt8]]) { self.tars = tars }

    /// Images that stand on one another.
    init(images: [(tar: [UInt8], whitelist: [[UInt8]])]) {
        tars = images.map(\.tar)
        whitelists = images.map(\.whitelist)
    }

    var dialect: Dialect { whitelists == nil ? .layer : .image }
    func whitelist(_ layer: Int) -> Whitelist? {
        guard let paths = whitelists?[layer] else { return nil }
        return Whitelist(paths: paths)
    }

    var layerCount: Int { tars.count }
    func servedSize(_ layer: Int) -> Int { tars[layer].count }
    func open(_ layer: Int, checked: Bool) -> any ByteSource { Bytes(tars[layer]) }
}

/// The image of each layer.
func split(_ stack: Stack) throws -> Stack {
    var splitter = LayerSplitter(stack)
    return try Stack(
        images: (0..<stack.layerCount).map { _ in
            try splitter.next()
            let sink = Bytes()
            let writer = TarWriter(sink)
            try writer.header(TarEntry(path: Array("manifest".utf8), kind: .file, mode: 0o644))
            try splitter.write { entry, reader in
                var member = entry
                member.path = Array("rootfs/".utf8) + entry.path
                if entry.kind == .hardLink { member.linkTarget = Array("rootfs/".utf8) + entry.linkTarget }
                try writer.header(member)
                if entry.size > 0 { try reader!.data { try writer.data($0) } }
            }
            try writer.finish()
            return (sink.bytes, splitter.paths())
        })
}

/// Everything a squasher writes, in its order.
func squashed(_ stack: Stack, planned: Bool, limits: Limits = Limits()) throws -> [(entry: TarEntry, content: [UInt8])] {
    var squasher = Squasher(stack, limits: limits)
    if planned { try squasher.plan() }
    var result: [(entry: TarEntry, content: [UInt8])] = []
    try squasher.write { entry, reader, _ in
        var content: [UInt8] = []
        if entry.size > 0 { try reader!.data { content += $0 } }
        result.append((entry, content))
    }
    return result
}

/// What a squasher writes, as lines like the reference's; and whether its order is sound.
func lines(_ written: [(entry: TarEntry, content: [UInt8])]) -> (lines: [String], sound: Bool) {
    var sound = true
    var place: [[UInt8]: Int] = [:]
    var names: [Int: [String]] = [:]
    for (index, (entry, _)) in written.enumerated() {
        if place[entry.path] != nil { sound = false }
        if entry.kind == .hardLink {
            guard let target = place[entry.linkTarget], written[target].entry.kind != .hardLink, written[target].entry.kind != .directory else {
                return ([], false)
            }
            place[entry.path] = target
        } else {
            place[entry.path] = index
        }
        names[place[entry.path]!, default: []].append(text(entry.path))
        if let slash = entry.path.lastIndex(of: UInt8(ascii: "/")) {
            guard let parent = place[Array(entry.path[..<slash])], written[parent].entry.kind == .directory else { return ([], false) }
        }
    }
    let lines = written.map { entry, _ in
        let (origin, content) = written[place[entry.path]!]
        return line(text(entry.path), origin, content, names[place[entry.path]!]!)
    }
    return (lines.sorted(), sound)
}
