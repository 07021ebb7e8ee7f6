/// One name of a tree, with all that is compared of it.
public struct ListedEntry: Sendable, Hashable {
    public enum Kind: UInt8, Sendable {
        case file, directory, symbolicLink, characterDevice, blockDevice, fifo, socket
    }

    public struct Attribute: Sendable, Hashable {
        public var name: [UInt8]
        public var value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) { (self.name, self.value) = (name, value) }
    }

    /// Below the root, without a slash at either end; empty for the root itself.
    public var path: [UInt8]
    public var kind: Kind
    /// At most 0o7777.
    public var mode: UInt32
    public var uid: Int64
    public var gid: Int64
    /// Seconds since 1970, and nanoseconds on top.
    public var seconds: Int64
    public var nanoseconds: Int32
    /// Bytes of a file.
    public var size: Int64 = 0
    /// SHA-256 of a file's bytes, in hexadecimal digits; empty for what is no file.
    public var sha256: [UInt8] = []
    /// Where a symbolic link leads.
    public var target: [UInt8] = []
    public var major: UInt32 = 0
    public var minor: UInt32 = 0
    /// Sorted by name.
    public var attributes: [Attribute] = []
    /// The first of the names that the file has, where it has several; else empty.
    public var firstName: [UInt8] = []

    public init(path: [UInt8], kind: Kind, mode: UInt32, uid: Int64, gid: Int64, seconds: Int64, nanoseconds: Int32) {
        (self.path, self.kind, self.mode) = (path, kind, mode)
        (self.uid, self.gid, self.seconds, self.nanoseconds) = (uid, gid, seconds, nanoseconds)
    }

    /// The order of listings: what is in a directory follows it at once.
    public static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        // No path has a NUL: a slash in its place comes before every other byte.
        func rank(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "/") ? 0 : byte }
        for (a, b) in zip(left, right) where a != b { return rank(a) < rank(b) }
        return left.count < right.count
    }

    /// Whether a path lies in the directory of another.
    public static func isBelow(_ path: [UInt8], _ directory: [UInt8]) -> Bool {
        directory.isEmpty ? !path.isEmpty : path.count > directory.count && path[directory.count] == UInt8(ascii: "/") && path.starts(with: directory)
    }
}

// MARK: As bytes

extension ListedEntry {
    /// Numbers are little-endian; texts have their length before them.
    func encode(into bytes: inout [UInt8]) {
        let start = bytes.count
        func put(_ number: some FixedWidthInteger) { withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) } }
        func put(_ text: [UInt8]) {
            put(UInt32(text.count))
            bytes += text
        }
        put(UInt32(0))
        put(path)
        put(kind.rawValue)
        put(mode)
        put(uid)
        put(gid)
        put(seconds)
        put(nanoseconds)
        put(size)
        put(sha256)
        put(target)
        put(major)
        put(minor)
        put(UInt32(attributes.count))
        for attribute in attributes {
            put(attribute.name)
            put(attribute.value)
        }
        put(firstName)
        withUnsafeBytes(of: UInt32(bytes.count - start - 4).littleEndian) { for (index, byte) in $0.enumerated() { bytes[start + index] = byte } }
    }

    /// - Parameter bytes: what ``encode(into:)`` wrote, without the length at its beginning.
    /// - Throws: ``ListingError/damaged``
    init(decoding bytes: ArraySlice<UInt8>) throws(ListingError) {
        var rest = bytes
        func number<Number: FixedWidthInteger>(_ type: Number.Type) throws(ListingError) -> Number {
            let size = MemoryLayout<Number>.size
            guard rest.count >= size else { throw .damaged }
            defer { rest = rest.dropFirst(size) }
            return rest.prefix(size).reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
        }
        func text() throws(ListingError) -> [UInt8] {
            let count = Int(try number(UInt32.self))
            guard rest.count >= count else { throw .damaged }
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        path = try text()
        guard let kind = Kind(rawValue: try number(UInt8.self)) else { throw .damaged }
        self.kind = kind
        mode = try number(UInt32.self)
        uid = try number(Int64.self)
        gid = try number(Int64.self)
        seconds = try number(Int64.self)
        nanoseconds = try number(Int32.self)
        size = try number(Int64.self)
        sha256 = try text()
        target = try text()
        major = try number(UInt32.self)
        minor = try number(UInt32.self)
        for _ in 0..<(try number(UInt32.self)) { attributes.append(Attribute(name: try text(), value: try text())) }
        firstName = try text()
        guard rest.isEmpty else { throw .damaged }
    }
}
