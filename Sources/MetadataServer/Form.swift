import FoundationEssentials

/// The fields of a form (`application/x-www-form-urlencoded`). Values are bytes; of a name that comes twice the first counts.
struct Form {
    private var fields: [String: [UInt8]] = [:]

    /// - Returns: nil where an escape is malformed.
    init?(_ body: [UInt8]) {
        for field in body.split(separator: UInt8(ascii: "&")) {
            let parts = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]), let value = Self.decoded(parts.count > 1 ? parts[1] : []) else { return nil }
            let text = String(decoding: name, as: UTF8.self)
            if fields[text] == nil { fields[text] = value }
        }
    }

    subscript(name: String) -> [UInt8]? { fields[name] }

    private static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var rest = text
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): result.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                let digits = rest.prefix(2)
                guard digits.count == 2, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
                    let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
                else { return nil }
                result.append(value)
                rest = rest.dropFirst(2)
            default: result.append(byte)
            }
        }
        return result
    }
}

enum Base64 {
    static func encode(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }
    static func decode(_ text: [UInt8]) -> [UInt8]? { Data(base64Encoded: String(decoding: text, as: UTF8.self)).map { Array($0) } }
}
