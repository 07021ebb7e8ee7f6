import Diagnostics
import Digest

/// An image that can't be converted.
public enum ConversionError: DiagnosedError, Equatable {
    /// The image's configuration makes no sense.
    case badConfig(String)
    /// No appc name can be made of the image's.
    case badName(String)
    /// Images of this operating system have no rootfs that appc knows.
    case unsupportedSystem(String)
    /// Something is wrong in a layer.
    case layer(String, reason: String)
    /// A layer is larger than an option allows.
    case beyondLimit(layer: String, option: String, reason: String)
    /// A layer unpacks to other bytes than the configuration says.
    case wrongDiffID(layer: String, expected: Digest, actual: Digest)
    /// A path that no whitelist can have: a manifest is text.
    case notText(path: [UInt8])
    /// `/dev` is something else than a directory, so the console's links can't be made.
    case devIsNoDirectory

    /// Whether bytes are not what they should be.
    var isOfData: Bool {
        switch self {
        case .layer, .wrongDiffID: true
        default: false
        }
    }

    /// Whether what the layers hold is why it can't be converted: hostile, damaged, or too large.
    var isOfLayers: Bool {
        if case .beyondLimit = self { return true }
        return isOfData
    }

    public var diagnosis: Diagnosis {
        switch self {
        case .badConfig(let reason):
            Diagnosis("the image's configuration can't be used: \(reason)", hint: "the image is damaged or was made by a broken tool: build or fetch it again")
        case .badName(let name):
            Diagnosis("\"\(name)\" has no letter or digit that an appc name could be made of", hint: "tag the image with another name")
        case .unsupportedSystem(let system):
            Diagnosis("this is an image for \(system)", hint: "choose a Linux image with --platform linux/ARCH where there is one")
        case .layer(let layer, let reason):
            Diagnosis("layer \(layer): \(reason)", hint: "the image is damaged or was made by a broken tool: build or fetch it again")
        case .beyondLimit(let layer, let option, let reason):
            Diagnosis("layer \(layer): \(reason)", hint: "if you trust the image, allow more with \(option)")
        case .wrongDiffID(let layer, let expected, let actual):
            Diagnosis("layer \(layer) unpacks to \(actual), but the configuration says \(expected)", hint: "the image is damaged: build or fetch it again")
        case .notText(let path):
            Diagnosis(
                "\"\(String(decoding: path, as: UTF8.self))\" is not UTF-8, so an ACI of a layer that deletes something can't list what is left",
                hint: "convert the image without --nosquash")
        case .devIsNoDirectory:
            Diagnosis("/dev of the image is not a directory", hint: "remove it from the image, or make it a directory")
        }
    }
}
