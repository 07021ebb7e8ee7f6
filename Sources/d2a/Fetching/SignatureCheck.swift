import Diagnostics
import Files
import Program
import Subprocess
import Trust

/// Checks signatures with GnuPG's `gpgv`, which runs as nobody.
enum SignatureCheck {
    /// - Parameters:
    ///   - file: the image as it was served.
    ///   - image: the name in its manifest, which chooses the keys.
    /// - Throws: ``TrustError``
    static func check(_ file: OpenFile, _ signature: OpenFile, image: String, _ workspace: Directory, quiet: Bool) throws {
        let keys = Trust.KeyStore().keys(for: image)
        guard !keys.isEmpty else { throw TrustError.noKeys(image: image) }
        let keyring = try OpenFile.inMemory("keyring")
        for key in keys {
            // A file that is no key speaks for nobody, and stands in nobody's way.
            guard let file = try? OpenFile.open(key.path), let bytes = try? GnuPG.run(.dearmor, file, workspace), !bytes.isEmpty else {
                complain("d2a: warning: \(key.path) is no key\n")
                continue
            }
            try bytes.withUnsafeBytes { try keyring.write($0) }
        }
        try file.seek(to: 0)
        try signature.seek(to: 0)
        let output = try OpenFile.inMemory("status")
        let code = try runProgram(companionProgram("d2a-image"), ["gnupg", "verify"], descriptors: [file, signature, keyring, output])
        guard code != 127 else { throw TrustError.noGnuPG(program: "gpgv") }
        try output.seek(to: 0)
        let status = SignatureStatus(String(decoding: try output.readAll(limit: 1 << 20), as: UTF8.self))
        guard !status.isBad else { throw TrustError.badSignature(image: image) }
        // Only the key that a file is named for counts, whatever else is in it.
        guard let index = status.signers.firstIndex(where: { keys.map(\.fingerprint).contains($0) }) else {
            throw TrustError.unknownSigner(image: image, keys: status.unknown + status.signers)
        }
        if !quiet { complain("image: signature verified:\n  \(printable(status.identities[index]))\n") }
    }
}

/// GnuPG's own program, for keys.
enum GnuPG {
    enum Work: String { case show, dearmor }

    static func run(_ work: Work, _ key: OpenFile, _ workspace: Directory) throws -> [UInt8] {
        try key.seek(to: 0)
        let output = try OpenFile.inMemory("output")
        let place = "gnupg-\(work.rawValue)"
        let directory = try workspace.make(place, mode: 0o700)
        defer { try? workspace.removeTree(place) }
        let code = try runProgram(companionProgram("d2a-image"), ["gnupg", work.rawValue], descriptors: [key, output, directory])
        guard code != 127 else { throw TrustError.noGnuPG(program: "gpg") }
        try output.seek(to: 0)
        return code == 0 ? try output.readAll(limit: 16 << 20) : []
    }
}
