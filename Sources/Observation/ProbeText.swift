/// Bytes as d2a-probe writes them into JSON (`Sources/d2a-probe/json.h`): a backslash is doubled, a byte that isn't UTF-8 is `\xNN`, and what is
/// beyond a string's limit is `\+COUNT:HASH`.
public struct ProbeText: Sendable, Hashable {
    public var bytes: [UInt8]

    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Valid UTF-8 as it is, other bytes as U+FFFD.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether it begins with these words.
    public func hasPrefix(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }
}

extension ProbeText: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self.init(value) }
    public init(_ text: String) { bytes = Array(text.utf8) }
}

extension ProbeText: Comparable {
    public static func < (left: ProbeText, right: ProbeText) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

extension ProbeText: Decodable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let written = Array(try container.decode(String.self).utf8)
        bytes = []
        bytes.reserveCapacity(written.count)
        var place = 0
        while place < written.count {
            guard written[place] == UInt8(ascii: "\\") else {
                bytes.append(written[place])
                place += 1
                continue
            }
            let rest = written[(place + 1)...]
            switch rest.first {
            case UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                place += 2
            case UInt8(ascii: "x"):
                guard let byte = UInt8(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self), radix: 16), rest.count >= 3 else {
                    throw DecodingError.dataCorruptedError(in: container, debugDescription: "an escape that is none")
                }
                bytes.append(byte)
                place += 4
            case UInt8(ascii: "+"):
                // What was cut stays as it is written: equal wholes have equal hashes.
                bytes.append(contentsOf: written[place...])
                place = written.count
            default: throw DecodingError.dataCorruptedError(in: container, debugDescription: "an escape that is none")
            }
        }
    }
}
