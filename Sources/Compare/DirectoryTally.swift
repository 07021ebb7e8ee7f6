import Listing

/// Where the bytes are: by directories of the first two levels, the largest of them.
struct DirectoryTally {
    private struct Sums {
        var name: [UInt8]
        var left = 0
        var right = 0
        var larger: Int { max(left, right) }
    }

    private static let shown = 20
    private var largest: [Sums] = []
    private var current: Sums?

    /// - Parameters: entries of one path, in the order of listings.
    mutating func add(_ left: ListedEntry?, _ right: ListedEntry?) {
        guard let entry = left ?? right, !entry.path.isEmpty else { return }
        let parts = entry.path.split(separator: UInt8(ascii: "/"))
        // What lies in a directory of the first level itself counts for that one.
        let isDeep = parts.count > 2 || (parts.count == 2 && entry.kind == .directory)
        let name = parts.count == 1 && entry.kind != .directory ? [] : Array(parts.prefix(isDeep ? 2 : 1).joined(separator: [UInt8(ascii: "/")]))
        if current?.name != name {
            end()
            current = largest.firstIndex { $0.name == name }.map { largest.remove(at: $0) } ?? Sums(name: name)
        }
        current!.left += Self.bytes(left)
        current!.right += Self.bytes(right)
    }

    /// A file of several names counts once.
    private static func bytes(_ entry: ListedEntry?) -> Int {
        guard let entry, entry.kind == .file, entry.firstName.isEmpty || entry.firstName == entry.path else { return 0 }
        return Int(clamping: max(0, entry.size))
    }

    private mutating func end() {
        guard let sums = current else { return }
        current = nil
        // Directories of the first level are left and come again: a few more than are shown are kept for that.
        largest.append(sums)
        if largest.count > 64 * Self.shown {
            largest.sort { ($0.larger, $1.name.count) > ($1.larger, $0.name.count) }
            largest.removeLast(32 * Self.shown)
        }
    }

    func charts() -> [Chart] {
        var copy = self
        copy.end()
        let sorted = copy.largest.filter { $0.larger > 0 }
            .sorted { $0.larger != $1.larger ? $0.larger > $1.larger : $0.name.lexicographicallyPrecedes($1.name) }
            .prefix(Self.shown)
        guard !sorted.isEmpty else { return [] }
        let bars = sorted.map { Chart.Bar("/" + String(decoding: $0.name, as: UTF8.self), left: $0.left, right: $0.right) }
        return [Chart(id: "directories", title: "Where the bytes are, by directory", unit: "bytes", bars: bars)]
    }
}
