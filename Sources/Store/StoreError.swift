import Diagnostics
import Digest

/// Something that was looked for in the store isn't there, or the store itself is broken.
public enum StoreError: DiagnosedError, Equatable {
    case noSuchImage(String)
    case prefixTooShort(String)
    case ambiguous(String, candidates: [ImageID])
    /// A file of the store can't be understood.
    case damaged(path: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .noSuchImage(let name):
            Diagnosis("no image \(name) in the store", hint: "see what is there with d2a image list, or fetch it with d2a fetch")
        case .prefixTooShort(let prefix):
            Diagnosis("\(prefix) is too short for an image ID", hint: "give at least two hexadecimal digits")
        case .ambiguous(let prefix, let candidates):
            Diagnosis(
                "\(prefix) is the beginning of \(candidates.count) image IDs",
                hint: "give more digits: " + candidates.map { String($0.description.prefix(24)) }.joined(separator: ", "))
        case .damaged(let path):
            Diagnosis("\(path) is damaged", hint: "remove the image with d2a image rm and fetch it again")
        }
    }
}
