import Glibc
import Listing

/// Compares two listings in one pass, entry by entry.
public struct TreeComparison {
    /// What explains a difference of a path; nil where the sides are simply not the same.
    public typealias Explanation = (_ left: ListedEntry?, _ right: ListedEntry?, _ field: Field) -> String?

    /// What of an entry is compared.
    public enum Field: String, Sendable, CaseIterable {
        case presence, kind, mode, owner, time, content, target, device, attribute, links

        var rule: String { self == .presence ? "file-only-in-one" : "file-" + rawValue }
    }

    private let ignored: Set<Field>
    private let explain: Explanation
    private var part: Part
    private var tally = DirectoryTally()

    /// - Parameter part: gets the differences.
    public init(_ part: Part, ignoring ignored: Set<Field> = [], explain: @escaping Explanation = { _, _, _ in nil }) {
        (self.part, self.ignored, self.explain) = (part, ignored, explain)
    }

    /// - Throws: errors of reading.
    public static func compare(
        _ left: ListingReader, _ right: ListingReader, into part: Part, ignoring ignored: Set<Field> = [],
        explain: @escaping Explanation = { _, _, _ in nil }
    ) throws -> Part {
        var comparison = TreeComparison(part, ignoring: ignored, explain: explain)
        try comparison.run(left, right)
        comparison.part.charts += comparison.tally.charts()
        return comparison.part
    }

    /// A directory that the other side lacks, with what is below it.
    private struct Lone {
        var entry: ListedEntry
        var isLeft: Bool
        var below = 0
    }

    private mutating func run(_ left: ListingReader, _ right: ListingReader) throws {
        var (a, b) = (try left.next(), try right.next())
        var lone: Lone?
        while a != nil || b != nil {
            let isBoth = a != nil && b != nil && a!.path == b!.path
            let takesLeft = isBoth || b == nil || (a != nil && ListedEntry.precedes(a!.path, b!.path))
            let (one, other) = (takesLeft ? a : nil, isBoth || !takesLeft ? b : nil)
            tally.add(one, other)
            part.compared += 1
            if let isBelow = lone.map({ ListedEntry.isBelow((one ?? other)!.path, $0.entry.path) }), isBelow, !isBoth, lone!.isLeft == takesLeft {
                lone!.below += 1
            } else {
                if let ended = lone { add(ended) }
                lone = nil
                if let one, let other {
                    compare(one, other)
                } else if let entry = one ?? other {
                    // Not every tool names the root.
                    if !entry.path.isEmpty { lone = Lone(entry: entry, isLeft: takesLeft) }
                }
            }
            if one != nil { a = try left.next() }
            if other != nil { b = try right.next() }
        }
        if let lone { add(lone) }
    }

    private mutating func add(_ lone: Lone) {
        let text = lone.entry.summary + (lone.below == 0 ? "" : " with \(lone.below) below")
        let (left, right) = lone.isLeft ? (lone.entry, nil) : (nil, lone.entry)
        add(.presence, left, right, lone.isLeft ? Array(text.utf8) : nil, lone.isLeft ? nil : Array(text.utf8))
    }

    private mutating func add(_ field: Field, name: String? = nil, _ left: ListedEntry?, _ right: ListedEntry?, _ a: [UInt8]?, _ b: [UInt8]?) {
        guard !ignored.contains(field) else { return }
        part.add(
            Difference(
                explain(left, right, field) ?? field.rule, subject: (left ?? right)!.path, field: name ?? (field == .presence ? "" : field.rawValue), left: a,
                right: b))
    }

    private mutating func compare(_ left: ListedEntry, _ right: ListedEntry) {
        func note(_ field: Field, _ value: (ListedEntry) -> [UInt8]) {
            let (a, b) = (value(left), value(right))
            if a != b { add(field, left, right, a, b) }
        }
        func text(_ field: Field, _ value: (ListedEntry) -> String) { note(field) { Array(value($0).utf8) } }
        guard left.kind == right.kind else { return add(.kind, left, right, Array(left.summary.utf8), Array(right.summary.utf8)) }
        // A link's mode and time are nobody's.
        if left.kind != .symbolicLink {
            text(.mode) { octal($0.mode) }
            // When the root was changed says who made the tree and nothing of what is in it.
            if !left.path.isEmpty { text(.time) { timestamp($0.seconds, $0.nanoseconds) } }
        }
        text(.owner) { "\($0.uid):\($0.gid)" }
        if left.kind == .file { text(.content) { "\($0.size) bytes sha256:" + String(decoding: $0.sha256, as: UTF8.self) } }
        note(.target) { $0.target }
        text(.device) { "\($0.major),\($0.minor)" }
        note(.links) { $0.firstName.isEmpty ? Array("one name".utf8) : Array("a name of ".utf8) + $0.firstName }
        let (a, b) = (Self.attributes(left), Self.attributes(right))
        for name in Set(a.keys).union(b.keys).sorted(by: { $0.lexicographicallyPrecedes($1) }) where a[name] != b[name] {
            add(.attribute, name: escaped(name), left, right, a[name].map { hexadecimal($0) }, b[name].map { hexadecimal($0) })
        }
    }

    private static func attributes(_ entry: ListedEntry) -> [[UInt8]: [UInt8]] {
        Dictionary(entry.attributes.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    private func hexadecimal(_ bytes: [UInt8]) -> [UInt8] {
        let shown = bytes.prefix(64).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return Array((bytes.count > 64 ? "\(bytes.count) bytes \(shown)..." : "0x\(shown)").utf8)
    }
}

extension ListedEntry {
    /// In one line: `file 644 0:0, 12 bytes`.
    var summary: String {
        let name =
            switch kind {
            case .file: "file"
            case .directory: "directory"
            case .symbolicLink: "link"
            case .characterDevice: "character device"
            case .blockDevice: "block device"
            case .fifo: "fifo"
            case .socket: "socket"
            }
        let owner = " \(uid):\(gid)"
        switch kind {
        case .symbolicLink: return name + owner + " to " + String(decoding: target, as: UTF8.self)
        case .characterDevice, .blockDevice: return "\(name) \(octal(mode))\(owner) \(major),\(minor)"
        case .file: return "\(name) \(octal(mode))\(owner), \(size) bytes"
        default: return "\(name) \(octal(mode))\(owner)"
        }
    }
}

private func octal(_ mode: UInt32) -> String {
    let digits = String(mode, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
}

/// RFC 3339, in UTC, with as much of the fraction as there is.
func timestamp(_ seconds: Int64, _ nanoseconds: Int32) -> String {
    var moment = time_t(seconds)
    var parts = tm()
    guard gmtime_r(&moment, &parts) != nil else { return "\(seconds) s" }
    func padded(_ number: Int32, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    var fraction = ""
    if nanoseconds > 0 {
        fraction = "." + padded(nanoseconds, 9)
        while fraction.last == "0" { fraction.removeLast() }
    }
    let date = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
    return "\(date)T\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))\(fraction)Z"
}
