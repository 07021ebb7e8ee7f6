import Diagnostics

/// What `gpgv --status-fd` says of a signature (GnuPG's doc/DETAILS).
public struct SignatureStatus: Sendable, Equatable {
    /// The primary keys whose good signatures there are, by their fingerprints, lower case.
    public var signers: [String] = []
    public var identities: [String] = []
    /// Keys that were not in the keyring.
    public var unknown: [String] = []
    public var isBad = false

    public init(_ text: String) {
        var good: String?
        for line in text.split(separator: "\n") where line.hasPrefix("[GNUPG:] ") {
            let words = line.dropFirst(9).split(separator: " ")
            switch words.first {
            // Neither that of an expired nor of a revoked key is one.
            case "GOODSIG": good = words.dropFirst(2).joined(separator: " ")
            case "EXPSIG", "EXPKEYSIG", "REVKEYSIG": good = nil
            case "VALIDSIG":
                if let identity = good, words.count > 10 {
                    signers.append(words[10].lowercased())
                    identities.append(identity)
                }
                good = nil
            case "BADSIG": isBad = true
            case "NO_PUBKEY": unknown.append(words.count > 1 ? String(words[1]) : "")
            default: break
            }
        }
    }
}

/// An image, or a key, that can't be trusted.
public enum TrustError: DiagnosedError, Equatable {
    case noSignature(image: String, place: String)
    case noKeys(image: String)
    case unknownSigner(image: String, keys: [String])
    case badSignature(image: String)
    case noGnuPG(program: String)
    case notAKey(place: String)
    case plainHTTP(place: String)
    case noTerminal

    public var diagnosis: Diagnosis {
        switch self {
        case .noSignature(let image, let place):
            Diagnosis("\(image) has no signature at \(place)", hint: "ask whoever made it, or take it as it is with --insecure-options=image")
        case .noKeys(let image):
            Diagnosis(
                "no key is trusted for \(image)",
                hint: "see whose it should be signed by, and trust that key: d2a trust --prefix=\(Self.host(image)) KEY")
        case .unknownSigner(let image, let keys):
            Diagnosis(
                "\(image) is signed by a key that isn't trusted for it: \(keys.joined(separator: ", "))",
                hint: "if it is the right one: d2a trust --prefix=\(Self.host(image)) KEY")
        case .badSignature(let image):
            Diagnosis("\(image) is not what was signed: the signature doesn't fit", hint: "it was changed on the way or where it lay; don't use it")
        case .noGnuPG(let program): Diagnosis("\(program) is not installed, which checks signatures", hint: "install the package gpgv or gpg")
        case .notAKey(let place): Diagnosis("\(place) holds no OpenPGP public key", hint: "keys look like -----BEGIN PGP PUBLIC KEY BLOCK-----")
        case .plainHTTP(let place):
            Diagnosis("\(place) is plain HTTP: anybody on the way could send another key", hint: "--insecure-options=pubkey, where you know the fingerprint")
        case .noTerminal:
            Diagnosis(
                "there is no terminal on which somebody could review the key's fingerprint", hint: "--skip-fingerprint-review, where it was reviewed already")
        }
    }

    /// Of an image's name, or of where it was.
    private static func host(_ image: String) -> Substring {
        image.split(separator: "/").first { !$0.hasSuffix(":") } ?? "NAME"
    }
}
