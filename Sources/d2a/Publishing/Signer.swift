import Files
import Publishing
import Subprocess
import Trust

/// Signs with a key of GnuPG's keyring, as whoever runs this.
struct Signer {
    /// Of the primary key, in capitals.
    let fingerprint: String
    private let key: String

    /// - Parameter key: as gpg knows it: an ID, a fingerprint, an address.
    /// - Throws: ``PublishingError``
    init(_ key: String) throws {
        self.key = key
        let found = try Self.gpg(["--list-secret-keys", "--with-colons", "--", key])
        let lines = String(decoding: found.output, as: UTF8.self).split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        guard found.status == 0, lines.filter({ $0[0] == "sec" }).count == 1, let line = lines.first(where: { $0[0] == "fpr" }), line.count > 9 else {
            throw PublishingError.noKey(key)
        }
        fingerprint = String(line[9])
    }

    /// The public key, as text.
    func publicKey() throws -> [UInt8] {
        let exported = try Self.gpg(["--armor", "--export", "--", fingerprint])
        guard exported.status == 0, !exported.output.isEmpty else { throw PublishingError.noKey(key) }
        return exported.output
    }

    /// A detached signature, as text.
    func signature(of file: OpenFile) throws -> [UInt8] {
        let output = try OpenFile.inMemory("signature")
        try file.seek(to: 0)
        let status = try Self.run(
            ["--quiet", "--armor", "--local-user", fingerprint, "--output", "-&4", "--detach-sign", "--", "-&3"], descriptors: [file, output])
        try output.seek(to: 0)
        let bytes = try output.readAll(limit: 1 << 20)
        guard status == 0, !bytes.isEmpty else { throw PublishingError.notSigned(file.path, key: key, reason: "gpg ends with status \(status)") }
        return bytes
    }

    /// Whether a signature is this key's, and good.
    func hasSigned(_ file: OpenFile, _ signature: [UInt8]) throws -> Bool {
        let (proof, output) = (try OpenFile.inMemory("signature", signature), try OpenFile.inMemory("status"))
        try proof.seek(to: 0)
        try file.seek(to: 0)
        _ = try Self.run(["--status-fd", "5", "--logger-file", "/dev/null", "--verify", "--", "-&4", "-&3"], descriptors: [file, proof, output])
        try output.seek(to: 0)
        let status = SignatureStatus(String(decoding: try output.readAll(limit: 1 << 20), as: UTF8.self))
        return !status.isBad && status.signers.contains(fingerprint.lowercased())
    }

    private static let options = ["--batch", "--no-tty", "--enable-special-filenames"]

    private static func run(_ words: [String], descriptors: [any DescriptorOwner]) throws -> Int32 {
        let status = try runProgram("/usr/bin/env", ["gpg"] + options + words, descriptors: descriptors)
        guard status != 127 else { throw TrustError.noGnuPG(program: "gpg") }
        return status
    }

    private static func gpg(_ words: [String]) throws -> (status: Int32, output: [UInt8]) {
        do { return try runFilter("gpg", options + ["--logger-file", "/dev/null"] + words, input: "") } catch is SubprocessError {
            throw TrustError.noGnuPG(program: "gpg")
        }
    }
}
