/// The hash functions that name content in registries and stores.
public enum DigestAlgorithm: String, Sendable, Hashable, CaseIterable {
    case sha256
    case sha512

    /// Length of the hash in hexadecimal digits.
    public var hexLength: Int { self == .sha256 ? 64 : 128 }
}

/// A content digest as registries write it: `sha256:<64 hex>` (OCI image-spec `descriptor.md#digests`).
public struct Digest: Sendable, Hashable, CustomStringConvertible {
    public let algorithm: DigestAlgorithm
    /// Lower-case hexadecimal digits, exactly `algorithm.hexLength` of them.
    public let hex: String

    /// - Returns: nil unless `hex` has the right length and only the digits `0-9a-f`.
    public init?(algorithm: DigestAlgorithm, hex: some StringProtocol) {
        guard hex.utf8.count == algorithm.hexLength, hex.utf8.allSatisfy(isLowerHex) else { return nil }
        self.algorithm = algorithm
        self.hex = String(hex)
    }

    /// Reads `algorithm:hex`.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.firstIndex(of: ":"),
            let algorithm = DigestAlgorithm(rawValue: String(text[..<colon]))
        else { return nil }
        self.init(algorithm: algorithm, hex: text[text.index(after: colon)...])
    }

    public var description: String { "\(algorithm.rawValue):\(hex)" }
}

func isLowerHex(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}
