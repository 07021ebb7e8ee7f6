import ArgumentParser

/// A number of bytes, more than 0, as people write it: `4096`, `500M`, `20G`; units are powers of 1024.
public struct ByteCount: ExpressibleByArgument, Sendable {
    public var bytes: Int

    public init?(argument: String) {
        guard let bytes = Self.bytes(argument), bytes > 0 else { return nil }
        self.bytes = bytes
    }

    /// - Returns: nil for what is no number of bytes; 0 is one.
    public static func bytes(_ text: String) -> Int? {
        let units: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
        let shift = text.last.flatMap { units[Character($0.uppercased())] }
        guard let number = Int(shift == nil ? Substring(text) : text.dropLast()), number >= 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        return overflow ? nil : product
    }
}
