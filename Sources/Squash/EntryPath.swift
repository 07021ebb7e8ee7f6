import Archive

/// A name in a layer made canonical: components without `.`, empty ones or a leading `/` (docs/layers.md, "Names").
struct EntryPath: Hashable, Sendable {
    /// Empty for the root directory.
    let components: [[UInt8]]

    /// - Throws: ``ArchiveError/badEntry(name:reason:)`` for a name that could lead outside or that no filesystem takes.
    init(_ name: [UInt8]) throws {
        guard !name.isEmpty else { throw ArchiveError.badEntry(name: name, reason: "has no name") }
        // What no system call takes (PATH_MAX) is no path.
        guard name.count < 4096 else {
            throw ArchiveError.badEntry(name: Array(name.prefix(60)) + Array("...".utf8), reason: "has a path of \(name.count) bytes")
        }
        guard !name.contains(0) else { throw ArchiveError.badEntry(name: name, reason: "has a NUL byte in its name") }
        var result: [[UInt8]] = []
        for component in name.split(separator: UInt8(ascii: "/")) {
            if component.elementsEqual(".".utf8) { continue }
            if component.elementsEqual("..".utf8) { throw ArchiveError.badEntry(name: name, reason: "has \"..\" in its name") }
            guard component.count <= 255 else { throw ArchiveError.badEntry(name: name, reason: "has a name component longer than 255 bytes") }
            result.append(Array(component))
        }
        components = result
    }
}

/// What names of an archive's members mean.
public enum Dialect: Sendable {
    /// A layer's: paths, and markers of what disappears (OCI image-spec `layer.md#whiteouts`).
    case layer
    /// An ACI's: paths below `rootfs/`, beside the manifest (appc spec `aci.md#image-layout`). No name is a marker.
    case image

    /// - Throws: `ArchiveError.badEntry` for names that no image may have.
    func meaning(_ name: [UInt8]) throws -> EntryMeaning {
        switch self {
        case .layer: try EntryMeaning(name)
        case .image: try inRootfs(name).map { .entry($0) } ?? .ignored
        }
    }

    /// The path that a hard link leads to.
    func target(of link: TarEntry) throws -> EntryPath {
        let path = try? self == .layer ? EntryPath(link.linkTarget) : inRootfs(link.linkTarget)
        guard let path else { throw ArchiveError.badEntry(name: link.path, reason: "is a hard link to a name that no image may have") }
        return path
    }

    private func inRootfs(_ name: [UInt8]) throws -> EntryPath? {
        let path = try EntryPath(name)
        guard let first = path.components.first, first.elementsEqual("rootfs".utf8) else { return nil }
        return EntryPath(components: Array(path.components.dropFirst()))
    }
}

/// What a name in a layer means (OCI image-spec `layer.md#whiteouts`).
enum EntryMeaning {
    /// A thing of this path.
    case entry(EntryPath)
    /// `.wh.NAME`: the path disappears from the layers below.
    case whiteout(EntryPath)
    /// `.wh..wh..opq`: everything below the path disappears from the layers below.
    case opaque(directory: EntryPath)
    /// Old AUFS bookkeeping: not part of the image.
    case ignored

    init(_ name: [UInt8]) throws {
        let path = try EntryPath(name)
        // A thing inside AUFS' own directories is AUFS' own too.
        if path.components.dropLast().contains(where: { $0.starts(with: Self.aufs) }) {
            self = .ignored
            return
        }
        guard let last = path.components.last, last.starts(with: Self.prefix) else {
            self = .entry(path)
            return
        }
        let parent = Array(path.components.dropLast())
        if last == Self.opaqueName {
            self = .opaque(directory: EntryPath(components: parent))
        } else if last.starts(with: Self.aufs) {
            self = .ignored
        } else {
            let hidden = Array(last.dropFirst(Self.prefix.count))
            // `.wh.` alone, and names that could be no file's.
            guard !hidden.isEmpty, hidden != Array(".".utf8), hidden != Array("..".utf8) else {
                throw ArchiveError.badEntry(name: name, reason: "is a whiteout of nothing")
            }
            self = .whiteout(EntryPath(components: parent + [hidden]))
        }
    }

    private static let prefix = Array(".wh.".utf8)
    private static let aufs = Array(".wh..wh.".utf8)
    private static let opaqueName = Array(".wh..wh..opq".utf8)
}

extension EntryPath {
    fileprivate init(components: [[UInt8]]) { self.components = components }

    /// The path as the image has it, without a slash at either end.
    var bytes: [UInt8] { Array(components.joined(separator: [UInt8(ascii: "/")])) }

    /// The first so many components.
    func prefix(_ count: Int) -> EntryPath { EntryPath(components: Array(components.prefix(count))) }

    func isBelow(_ other: EntryPath) -> Bool { components.count > other.components.count && components.starts(with: other.components) }

    static func + (path: EntryPath, name: [UInt8]) -> EntryPath { EntryPath(components: path.components + [name]) }
}
