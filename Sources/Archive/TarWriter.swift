/// Writes a POSIX pax tar whose bytes depend on the entries alone.
///
/// The bytes are a promise (an image ID is their hash), so they are made here and not by a library whose next version may
/// write the same entry in another way. A field that fits goes into the ustar header (POSIX.1-1988, octal, NUL-terminated);
/// what doesn't fit goes into a pax header before it (POSIX.1-2001), records sorted by key.
public final class TarWriter {
    private let sink: any ByteSink
    private var dataLeft: Int64 = 0
    private var padding = 0

    public init(_ sink: any ByteSink) { self.sink = sink }

    /// Writes the headers of an entry; exactly `entry.size` bytes of data must follow by ``data(_:)``.
    public func header(_ entry: TarEntry) throws {
        precondition(dataLeft == 0, "data of the entry before is missing")
        var records = Self.paxRecords(entry)
        if !records.isEmpty {
            records.sort { $0.key.lexicographicallyPrecedes($1.key) }
            // hdrcharset speaks of the records after it, so it stands first whatever the order of letters.
            let texts = [entry.path, entry.linkTarget, entry.userName, entry.groupName]
            if texts.contains(where: { !isUTF8($0) }) {
                records.insert((Array("hdrcharset".utf8), Array("BINARY".utf8)), at: 0)
            }
            var body: [UInt8] = []
            for record in records { body += Self.encode(record.key, record.value) }
            var extended = TarEntry(path: Array("././@PaxHeader".utf8), kind: .file, mode: 0o644)
            extended.size = Int64(body.count)
            try sink.write(Self.ustar(extended, type: UInt8(ascii: "x")))
            try sink.write(body)
            try sink.write([UInt8](repeating: 0, count: Self.padding(Int64(body.count))))
        }
        try sink.write(Self.ustar(entry, type: Self.typeFlag(entry.kind)))
        dataLeft = entry.size
        padding = Self.padding(entry.size)
        if dataLeft == 0 { try pad() }
    }

    public func data(_ bytes: UnsafeRawBufferPointer) throws {
        precondition(Int64(bytes.count) <= dataLeft, "more data than the header says")
        try sink.write(bytes)
        dataLeft -= Int64(bytes.count)
        if dataLeft == 0 { try pad() }
    }

    /// Writes the end-of-archive blocks and finishes the sink.
    public func finish() throws {
        precondition(dataLeft == 0, "data of the last entry is missing")
        try sink.write([UInt8](repeating: 0, count: 1024))
        try sink.finish()
    }

    private func pad() throws {
        if padding > 0 { try sink.write([UInt8](repeating: 0, count: padding)) }
        padding = 0
    }

    private static func padding(_ size: Int64) -> Int { Int((512 - size % 512) % 512) }

    private static func typeFlag(_ kind: TarEntry.Kind) -> UInt8 {
        switch kind {
        case .file: UInt8(ascii: "0")
        case .hardLink: UInt8(ascii: "1")
        case .symbolicLink: UInt8(ascii: "2")
        case .characterDevice: UInt8(ascii: "3")
        case .blockDevice: UInt8(ascii: "4")
        case .directory: UInt8(ascii: "5")
        case .fifo: UInt8(ascii: "6")
        }
    }

    // Largest values of the octal fields of 8 and 12 bytes.
    private static let maximum7: Int64 = 0o7777777
    private static let maximum11: Int64 = 0o77777777777

    private static func paxRecords(_ entry: TarEntry) -> [(key: [UInt8], value: [UInt8])] {
        var records: [(key: [UInt8], value: [UInt8])] = []
        func add(_ key: String, _ value: [UInt8]) { records.append((Array(key.utf8), value)) }
        if !fits(entry.path, 100) { add("path", entry.path) }
        if !fits(entry.linkTarget, 100) { add("linkpath", entry.linkTarget) }
        if !fits(entry.userName, 32) { add("uname", entry.userName) }
        if !fits(entry.groupName, 32) { add("gname", entry.groupName) }
        if !(0...maximum7).contains(entry.uid) { add("uid", Array(String(entry.uid).utf8)) }
        if !(0...maximum7).contains(entry.gid) { add("gid", Array(String(entry.gid).utf8)) }
        if entry.size > maximum11 { add("size", Array(String(entry.size).utf8)) }
        if entry.mtimeNanoseconds != 0 || !(0...maximum11).contains(entry.mtime) { add("mtime", time(entry.mtime, entry.mtimeNanoseconds)) }
        for attribute in entry.xattrs { records.append((Array("SCHILY.xattr.".utf8) + attribute.name, attribute.value)) }
        return records
    }

    /// Decimal seconds without needless zeros. Before 1970 the fraction counts towards zero: -1 s and 0.25 s is `-0.75`.
    private static func time(_ seconds: Int64, _ nanoseconds: Int32) -> [UInt8] {
        var whole = seconds.magnitude
        var fraction = nanoseconds
        var sign = ""
        if seconds < 0 {
            sign = "-"
            if fraction > 0 { whole -= 1 }
            fraction = fraction > 0 ? 1_000_000_000 - fraction : 0
        }
        var text = sign + String(whole)
        if fraction > 0 {
            var digits = String(fraction)
            digits = String(repeating: "0", count: 9 - digits.count) + digits
            while digits.last == "0" { digits.removeLast() }
            text += "." + digits
        }
        return Array(text.utf8)
    }

    private static func fits(_ text: [UInt8], _ length: Int) -> Bool { text.count <= length && text.allSatisfy { $0 < 0x80 } }

    /// `LENGTH KEY=VALUE\n`, where the length counts itself.
    private static func encode(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = key.count + value.count + 3
        var length = rest + String(rest).utf8.count
        if String(length).utf8.count > String(rest).utf8.count { length = rest + String(length).utf8.count }
        return Array(String(length).utf8) + [UInt8(ascii: " ")] + key + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
    }

    private static func ustar(_ entry: TarEntry, type: UInt8) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: [UInt8], at offset: Int, _ length: Int) {
            for (index, byte) in text.prefix(length).enumerated() { block[offset + index] = byte }
        }
        /// Octal digits and a NUL; 0 where the value stands in the pax header.
        func put(octal value: Int64, at offset: Int, _ length: Int) {
            let limit: Int64 = length == 12 ? maximum11 : maximum7
            let digits = String((0...limit).contains(value) ? value : 0, radix: 8)
            put(Array((String(repeating: "0", count: length - 1 - digits.count) + digits).utf8), at: offset, length - 1)
        }
        put(entry.path, at: 0, 100)
        put(octal: Int64(entry.mode & 0o7777), at: 100, 8)
        put(octal: entry.uid, at: 108, 8)
        put(octal: entry.gid, at: 116, 8)
        put(octal: entry.size, at: 124, 12)
        put(octal: entry.mtime, at: 136, 12)
        block[156] = type
        put(entry.linkTarget, at: 157, 100)
        put(Array("ustar".utf8), at: 257, 6)
        put(Array("00".utf8), at: 263, 2)
        put(entry.userName, at: 265, 32)
        put(entry.groupName, at: 297, 32)
        put(octal: Int64(entry.deviceMajor), at: 329, 8)
        put(octal: Int64(entry.deviceMinor), at: 337, 8)
        // The checksum is counted with its own field as blanks, and ends in NUL and blank.
        let sum = block.reduce(0) { $0 + Int($1) } + 8 * 0x20
        let digits = String(sum, radix: 8)
        put(Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20], at: 148, 8)
        return block
    }
}

private func isUTF8(_ bytes: [UInt8]) -> Bool {
    bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
}
