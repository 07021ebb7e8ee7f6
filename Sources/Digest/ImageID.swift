/// The ID of an appc image: the hash of its uncompressed tar (appc spec `types.md#image-id-type`).
public struct ImageID: Sendable, Hashable, CustomStringConvertible {
    public let algorithm: DigestAlgorithm
    /// All hexadecimal digits, lower case.
    public let hex: String

    public init(_ digest: Digest) {
        algorithm = digest.algorithm
        hex = digest.hex
    }

    /// Reads a full `sha512-<128 hex>` or `sha256-<64 hex>`.
    public init?(_ text: some StringProtocol) {
        guard let prefix = ImageIDPrefix(text), prefix.hex.utf8.count == prefix.algorithm.hexLength else { return nil }
        algorithm = prefix.algorithm
        hex = prefix.hex
    }

    public var description: String { "\(algorithm.rawValue)-\(hex)" }
}

/// The beginning of an image ID as a person types it: `sha512-1e9d5166`.
///
/// rkt's store keys, `sha512-` and 64 of the 128 digits, are such prefixes too.
public struct ImageIDPrefix: Sendable, Hashable, CustomStringConvertible {
    public let algorithm: DigestAlgorithm
    /// At least one digit, at most `algorithm.hexLength`, lower case.
    public let hex: String

    /// - Returns: nil where `text` doesn't look like an image ID at all.
    public init?(_ text: some StringProtocol) {
        guard let dash = text.firstIndex(of: "-"),
            let algorithm = DigestAlgorithm(rawValue: String(text[..<dash]))
        else { return nil }
        let hex = text[text.index(after: dash)...]
        guard !hex.isEmpty, hex.utf8.count <= algorithm.hexLength, hex.utf8.allSatisfy(isLowerHex) else { return nil }
        self.algorithm = algorithm
        self.hex = String(hex)
    }

    public func matches(_ id: ImageID) -> Bool { algorithm == id.algorithm && id.hex.hasPrefix(hex) }

    public var description: String { "\(algorithm.rawValue)-\(hex)" }
}
