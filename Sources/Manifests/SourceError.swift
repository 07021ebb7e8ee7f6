import Diagnostics

/// What a source says of an image can't be used. `image`: what messages call it.
public enum SourceError: DiagnosedError, Equatable {
    case noSuchPlatform(image: String, wanted: Platform, available: [Platform])
    case badPlatform(String)
    case invalid(image: String, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .noSuchPlatform(let image, let wanted, let available):
            Diagnosis("\(image) has no image for \(wanted)", hint: "choose with --platform from: \(available.map(\.description).joined(separator: ", "))")
        case .badPlatform(let text): Diagnosis("\"\(text)\" is not a platform", hint: "platforms look like linux/amd64 or linux/arm/v7")
        case .invalid(let image, let reason): Diagnosis("\(image): \(reason)", hint: "this is not an image that d2a knows, or its source is damaged")
        }
    }
}
