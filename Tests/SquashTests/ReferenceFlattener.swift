import Archive

/// Layers flattened the slow, obvious way: the whole tree in memory, layer by layer from the base up.
///
/// It shares nothing with the squasher but the rules (docs/layers.md): what it shows is what the squasher must write.
final class ReferenceFlattener {
    /// What one name or several lead to. Hard links are names of one object.
    final class Thing {
        /// nil for a directory that no entry names.
        var entry: TarEntry?
        var content: [UInt8] = []
        /// Of a directory.
        var children: [[UInt8]: Thing]?

        init(_ entry: TarEntry?, children: [[UInt8]: Thing]? = nil) {
            self.entry = entry
            self.children = children
        }
    }

    struct Refused: Error {}

    let root = Thing(nil, children: [:])

    func apply(_ layer: [(entry: TarEntry, content: [UInt8])]) throws {
        let members = try layer.map { (entry: $0.entry, content: $0.content, path: try Self.components($0.entry.path)) }
        // Hard links may lead to what lower layers show, even where this layer hides it.
        let below = try members.map { member in member.entry.kind == .hardLink ? find(try Self.components(member.entry.linkTarget)) : nil }

        for member in members {
            guard let name = member.path.last, name.starts(with: Array(".wh.".utf8)), !isAufs(member.path) else { continue }
            let directory = Array(member.path.dropLast())
            if name == Array(".wh..wh..opq".utf8) {
                if let hidden = find(directory), hidden.children != nil { hidden.children = [:] }
            } else {
                let name = Array(name.dropFirst(4))
                if [[], Array(".".utf8), Array("..".utf8)].contains(name) { throw Refused() }
                find(directory)?.children?[name] = nil
            }
        }
        var said: [[[UInt8]]: Thing] = [:]
        for (member, below) in zip(members, below) {
            if isAufs(member.path) || member.path.last?.starts(with: Array(".wh.".utf8)) == true { continue }
            guard let name = member.path.last else {
                if member.entry.kind != .directory { throw Refused() }
                root.entry = member.entry
                continue
            }
            let parent: Thing
            switch member.entry.kind {
            case .directory:
                parent = directory(member.path.dropLast())
                if let existing = parent.children![name], existing.children != nil {
                    existing.entry = member.entry
                } else {
                    parent.children![name] = Thing(member.entry, children: [:])
                }
            case .hardLink:
                let target = try Self.components(member.entry.linkTarget)
                if target == member.path { continue }
                guard let thing = said[target] ?? below, thing.children == nil else { throw Refused() }
                parent = directory(member.path.dropLast())
                parent.children![name] = thing
            default:
                parent = directory(member.path.dropLast())
                let thing = Thing(member.entry)
                thing.content = member.content
                parent.children![name] = thing
            }
            said[member.path] = parent.children![name]
        }
    }

    private func find(_ path: [[UInt8]]) -> Thing? {
        var thing: Thing? = root
        for name in path { thing = thing?.children?[name] }
        return thing
    }

    private func directory(_ path: ArraySlice<[UInt8]>) -> Thing {
        var thing = root
        for name in path {
            if let next = thing.children![name], next.children != nil {
                thing = next
            } else {
                let next = Thing(nil, children: [:])
                thing.children![name] = next
                thing = next
            }
        }
        return thing
    }

    private func isAufs(_ path: [[UInt8]]) -> Bool {
        let aufs = Array(".wh..wh.".utf8)
        if path.dropLast().contains(where: { $0.starts(with: aufs) }) { return true }
        return path.last.map { $0.starts(with: aufs) && $0 != Array(".wh..wh..opq".utf8) } ?? false
    }

    private static func components(_ name: [UInt8]) throws -> [[UInt8]] {
        if name.isEmpty || name.contains(0) { throw Refused() }
        let all = name.split(separator: UInt8(ascii: "/")).map { Array($0) }.filter { $0 != Array(".".utf8) }
        if all.contains(where: { $0 == Array("..".utf8) || $0.count > 255 }) { throw Refused() }
        return all
    }
}

/// A tree as lines that can be compared: every path with everything that is known of it.
func lines(_ reference: ReferenceFlattener) -> [String] {
    var names: [ObjectIdentifier: [String]] = [:]
    var result: [(path: String, thing: ReferenceFlattener.Thing)] = []
    func walk(_ thing: ReferenceFlattener.Thing, _ path: String) {
        names[ObjectIdentifier(thing), default: []].append(path)
        result.append((path, thing))
        for (name, child) in thing.children ?? [:] { walk(child, path.isEmpty ? text(name) : path + "/" + text(name)) }
    }
    walk(reference.root, "")
    return result.map { path, thing in
        var entry = thing.entry ?? TarEntry(path: [], kind: .directory, mode: 0o755)
        if thing.children != nil { entry.kind = .directory }
        return line(path, entry, thing.content, names[ObjectIdentifier(thing)]!)
    }.sorted()
}

func line(_ path: String, _ entry: TarEntry, _ content: [UInt8], _ names: [String]) -> String {
    "\(path)|\(entry.kind)|\(String(entry.mode, radix: 8))|\(entry.uid):\(entry.gid)|\(entry.mtime).\(entry.mtimeNanoseconds)|\(text(entry.linkTarget))"
        + "|\(entry.deviceMajor),\(entry.deviceMinor)|\(entry.xattrs.map { text($0.name) + "=" + text($0.value) })|\(text(content))|\(names.sorted())"
}

/// Bytes as text that differs where the bytes do.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.map { UInt16($0) }, as: UTF16.self) }
