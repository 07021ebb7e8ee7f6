import Archive
import Compare
import Image

/// Finds in an image's layers what tools disagree on: whiteouts, and links where directories should be.
///
/// Memory grows with the number of links and whiteouts.
struct LayerFactsReader {
    private var facts = LayerFacts()
    /// Symbolic links of the layers so far, and of this one.
    private var lower: [[UInt8]: [UInt8]] = [:]
    private var own: [[UInt8]: [UInt8]] = [:]

    static func read(_ source: any ImageSource) throws -> LayerFacts {
        var reader = LayerFactsReader()
        for index in try source.image().layers.indices {
            let blob = try source.blob(index)
            let tar = try TarReader(Decompressor.open(FileRegion(blob.file, offset: blob.offset, length: blob.length)))
            while let entry = try tar.next() { reader.add(entry) }
            reader.lower.merge(reader.own) { $1 }
            reader.own = [:]
        }
        return reader.facts
    }

    private mutating func add(_ entry: TarEntry) {
        let parts = entry.path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }.map { Array($0) }
        guard let last = parts.last else { return }
        let path = Self.joined(parts[...])
        for depth in 1..<max(1, parts.count) {
            let parent = Self.joined(parts[..<depth])
            if let target = own[parent] { note(parent, target, &facts.ownLinks) } else if let target = lower[parent] { note(parent, target, &facts.lowerLinks) }
        }
        if last.starts(with: ".wh..wh.".utf8) {
            facts.bookkeeping.insert(escaped(path))
        } else if last.starts(with: ".wh.".utf8) {
            facts.hidden.insert(escaped(Self.joined(parts.dropLast() + [Array(last.dropFirst(4))])))
        }
        if entry.kind == .symbolicLink { own[path] = entry.linkTarget } else { own[path] = nil }
    }

    /// The link, and where it leads.
    private func note(_ link: [UInt8], _ target: [UInt8], _ links: inout Set<String>) {
        links.insert(escaped(link))
        var parts = target.first == UInt8(ascii: "/") ? [] : Array(link.split(separator: UInt8(ascii: "/")).dropLast())
        for part in target.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
            if part.elementsEqual("..".utf8) { _ = parts.popLast() } else { parts.append(part) }
        }
        links.insert(escaped(Self.joined(parts.map { Array($0) }[...])))
    }

    private static func joined(_ parts: ArraySlice<[UInt8]>) -> [UInt8] { Array(parts.joined(separator: [UInt8(ascii: "/")])) }
}
