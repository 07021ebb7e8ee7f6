import Diagnostics
import Files
import Program
import Subprocess
import Trust

/// Checks signatures with GnuPG's `gpgv`, which runs as nobody.
struct SignatureCheck {
    let keys: KeyStore
    let workspace: Directory
    let quiet: Bool

    /// Whose good signature a file has.
    struct Signer {
        var fingerprint: String
        /// As the key has it.
        var identity: String
    }

    /// Checks a file as it was served, before a byte of it is unpacked.
    ///
    /// - Parameters:
    ///   - image: the image's name, where that is known: it chooses the keys. Else it must be one of those that are trusted for anything.
    ///   - place: what messages call an image without a name.
    /// - Throws: ``TrustError``
    func signers(of file: OpenFile, _ signature: OpenFile, image: String?, _ place: String) throws -> [Signer] {
        let name = image ?? place
        let candidates = image.map { keys.keys(for: $0) } ?? keys.all()
        guard !candidates.isEmpty else { throw TrustError.noKeys(image: name) }
        let keyring = try OpenFile.inMemory("keyring")
        for key in candidates {
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
        guard !status.isBad else { throw TrustError.badSignature(image: name) }
        // Only the key that a file is named for counts, whatever else is in it.
        let signers = zip(status.signers, status.identities).filter { signer, _ in candidates.contains { $0.fingerprint == signer } }
        guard !signers.isEmpty else { throw TrustError.unknownSigner(image: name, keys: status.unknown + status.signers) }
        return signers.map { Signer(fingerprint: $0, identity: $1) }
    }

    /// Checks that one who signed it is trusted for an image of this name.
    /// - Throws: ``TrustError``
    func accept(_ signers: [Signer], image: String) throws {
        let trusted = keys.keys(for: image).map(\.fingerprint)
        guard !trusted.isEmpty else { throw TrustError.noKeys(image: image) }
        guard let signer = signers.first(where: { trusted.contains($0.fingerprint) }) else {
            throw TrustError.unknownSigner(image: image, keys: signers.map(\.fingerprint))
        }
        if !quiet { complain("image: signature verified:\n  \(printable(signer.identity))\n") }
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
