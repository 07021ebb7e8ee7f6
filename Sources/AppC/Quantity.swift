/// An amount of a resource (appc spec `ace.md#resource-isolators`): `500m`, `1G`, `2Gi`, `1e3`. Exact to billionths of a unit; what is
/// finer is rounded away from zero.
public struct Quantity: Sendable, Hashable {
    /// Billionths of a unit.
    public let nano: Int128

    /// - Returns: nil where the text is no amount, or one beyond all measure.
    public init?(_ text: String) {
        var rest = text.utf8[...]
        let negative = rest.first == UInt8(ascii: "-")
        if negative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
        let digits = rest.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
        guard digits.contains(where: { $0 != UInt8(ascii: ".") }), digits.filter({ $0 == UInt8(ascii: ".") }).count <= 1 else { return nil }
        guard let (scale, power) = Self.suffix(String(decoding: rest[digits.endIndex...], as: UTF8.self)) else { return nil }
        var number: Int128 = 0
        var decimals = 0
        var seenPoint = false
        for digit in digits {
            if digit == UInt8(ascii: ".") {
                seenPoint = true
                continue
            }
            if seenPoint { decimals += 1 }
            guard let next = Self.product(number, 10) else { return nil }
            number = next + Int128(digit - 0x30)
        }
        guard let scaled = Self.product(number, scale), let exact = Self.shift(scaled, by: 9 + power - decimals) else { return nil }
        nano = negative ? -exact : exact
    }

    /// Whole units, rounded up.
    public var units: Int64 { Int64(clamping: nano / 1_000_000_000 + (nano % 1_000_000_000 > 0 ? 1 : 0)) }

    /// A factor, and a power of ten.
    private static func suffix(_ text: String) -> (scale: Int128, power: Int)? {
        let decimal = ["": 0, "n": -9, "u": -6, "m": -3, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18]
        if let power = decimal[text] { return (1, power) }
        let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
        if let index = binary.firstIndex(of: text) { return (1 << (10 * Int128(index + 1)), 0) }
        guard let first = text.first, "eE".contains(first), let power = Int(text.dropFirst()), abs(power) <= 30 else { return nil }
        return (1, power)
    }

    private static func product(_ a: Int128, _ b: Int128) -> Int128? {
        let (result, overflow) = a.multipliedReportingOverflow(by: b)
        // Room for one more digit.
        return overflow || result > Int128.max - 10 ? nil : result
    }

    private static func shift(_ number: Int128, by power: Int) -> Int128? {
        var result = number
        if power >= 0 {
            for _ in 0..<power {
                guard let next = product(result, 10) else { return nil }
                result = next
            }
            return result
        }
        var rest = false
        for _ in 0..<(-power) where result != 0 {
            rest = rest || result % 10 != 0
            result /= 10
        }
        return result + (rest ? 1 : 0)
    }
}
