import COpenSSL
import Digest

/// A running SHA-256 or SHA-512. Owns OpenSSL's state, which knows the processor's own instructions.
///
/// A class, so that it can be handed to the thread that hashes; it must be used by one thread at a time.
public final class StreamHasher: @unchecked Sendable {
    public let algorithm: DigestAlgorithm
    private let context: OpaquePointer

    public init(_ algorithm: DigestAlgorithm) {
        self.algorithm = algorithm
        // Both calls fail only when memory is exhausted or OpenSSL is unusable: nothing could go on.
        guard let context = EVP_MD_CTX_new() else { fatalError("OpenSSL: out of memory") }
        self.context = context
        let function = algorithm == .sha256 ? EVP_sha256() : EVP_sha512()
        guard EVP_DigestInit_ex(context, function, nil) == 1 else { fatalError("OpenSSL has no \(algorithm)") }
    }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count > 0 else { return }
        EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// The digest of all bytes given. The hasher must not be used afterwards.
    public func finish() -> Digest {
        var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        EVP_DigestFinal_ex(context, &bytes, &count)
        let digits = Array("0123456789abcdef".utf8)
        var hex: [UInt8] = []
        hex.reserveCapacity(Int(count) * 2)
        for byte in bytes.prefix(Int(count)) {
            hex.append(digits[Int(byte >> 4)])
            hex.append(digits[Int(byte & 15)])
        }
        return Digest(algorithm: algorithm, hex: String(decoding: hex, as: UTF8.self))!
    }

    deinit { EVP_MD_CTX_free(context) }

    /// The digest of bytes that are all in memory.
    public static func digest(_ bytes: some Sequence<UInt8>, _ algorithm: DigestAlgorithm = .sha256) -> Digest {
        let hasher = StreamHasher(algorithm)
        let all = Array(bytes)
        all.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }
}
