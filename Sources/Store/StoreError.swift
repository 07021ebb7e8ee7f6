import AppC
import Diagnostics
import Digest

/// Something that was looked for in the store isn't there, or the store itself is broken.
public enum StoreError: DiagnosedError, Equatable {
    case noSuchImage(String)
    case prefixTooShort(String)
    case ambiguous(String, candidates: [ImageID])
    /// An image of the store is built on one that isn't there.
    case missingDependency(Dependency, of: String)
    case dependencyLoop(String)
    case tooManyDependencies(String, limit: Int)
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
        case .missingDependency(let dependency, let image):
            Diagnosis(
                "\(image) is built on \(dependency.imageName)\(dependency.imageID.map { ", \($0.prefix(24))…," } ?? "") which is not in the store",
                hint: "fetch that image, or fetch this one again where it can be discovered")
        case .dependencyLoop(let image):
            Diagnosis("\(image) is built on itself, by way of its dependencies", hint: "the image is broken: tell whoever made it")
        case .tooManyDependencies(let image, let limit):
            Diagnosis("\(image) is built on more than \(limit) images", hint: "the image is broken or hostile")
        case .damaged(let path):
            Diagnosis("\(path) is damaged", hint: "remove the image with d2a image rm and fetch it again")
        }
    }
}
