import COpenSSL

/// Signatures with a secret key (RFC 2104), by SHA-512.
public enum HMACSHA512 {
    /// - Returns: 64 bytes.
    public static func sign(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 64)
        var count: UInt32 = 0
        guard HMAC(EVP_sha512(), key, Int32(key.count), message, message.count, &result, &count) != nil, count == 64 else {
            fatalError("OpenSSL can't sign")
        }
        return result
    }

    /// Whether a signature is right; how long that takes says nothing about it.
    public static func verify(_ signature: [UInt8], of message: [UInt8], key: [UInt8]) -> Bool {
        signature.count == 64 && CRYPTO_memcmp(signature, sign(message, key: key), 64) == 0
    }
}
