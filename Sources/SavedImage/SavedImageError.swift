import Diagnostics
import Digest

/// A saved image that can't be used.
public enum SavedImageError: DiagnosedError, Equatable {
    /// The file is no tar, or it ends early.
    case unreadable(path: String, reason: String)
    /// The file is a tar, but no image of Docker's.
    case notAnImage(path: String)
    /// The directory is no OCI layout.
    case notALayout(path: String)
    /// A member that the archive's own manifest names is not there.
    case missing(path: String, member: String)
    /// Several images, and none was chosen.
    case severalImages(path: String, names: [String])
    case noSuchImage(path: String, name: String, names: [String])
    /// The configuration is named by its digest, and has another one.
    case wrongDigest(path: String, member: String, actual: Digest)
    case invalid(path: String, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .unreadable(let path, let reason):
            Diagnosis("\(path) can't be read as an image archive: \(reason)", hint: "write it again with docker save, or fetch it again")
        case .notAnImage(let path):
            Diagnosis(
                "\(path) is a tar archive without manifest.json or index.json: not an image", hint: "images come from docker save, not from docker export")
        case .notALayout(let path): Diagnosis("\(path) is a directory without index.json: not an image", hint: "an OCI layout has index.json and blobs")
        case .missing(let path, let member):
            Diagnosis("\(path) has no \(member), which its manifest names", hint: "write or fetch it again")
        case .severalImages(let path, let names):
            Diagnosis("\(path) holds \(names.count) images: \(names.joined(separator: ", "))", hint: "choose one with --image NAME[:TAG]")
        case .noSuchImage(let path, let name, let names):
            Diagnosis("\(path) has no image \(name)", hint: "it has: \(names.joined(separator: ", "))")
        case .wrongDigest(let path, let member, let actual):
            Diagnosis(
                "\(path): \(member) has the digest \(actual), not the one it is named by", hint: "it is damaged: write or fetch it again")
        case .invalid(let path, let reason):
            Diagnosis("\(path): \(reason)", hint: "write or fetch it again")
        }
    }
}
