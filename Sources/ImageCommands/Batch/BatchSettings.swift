import Batch
import Engine
import Manifests
import Squash
import Transport

/// How the images of a batch are converted, where an image's own options don't say otherwise.
struct BatchSettings: Sendable {
    var source: SourceOptions
    var engine: Result<EngineAddress, EngineError>
    var limits: Limits
    var compression: Compression
    var compressionLevel: Int?
    var budget: BatchBudget
    /// How much of registries and the network is taken.
    var requests: RequestLimits
    /// How often an image is tried whose failure may pass, and after how many seconds; twice as many each further time.
    var attempts: Int
    var delay: Double
    var failFast: Bool
    /// As `--name-template` has it.
    var template: String?

    /// Those of one image.
    struct OfImage: Sendable {
        var source: SourceOptions
        var compression: Compression
        var level: Int?
        var template: String?

        /// What the ACI's bytes depend on beside the image.
        var text: String {
            let platform = source.choices.platform ?? Platform.current.description
            let name = template.map { " \($0)" } ?? ""
            return "\(compression)\(level.map { "-\($0)" } ?? "") \(platform)\(source.imageInFile.map { " \($0)" } ?? "")\(name)"
        }
    }

    func of(_ item: BatchItem) -> OfImage {
        var result = OfImage(source: source, compression: compression, level: compressionLevel, template: template)
        if let platform = item.options.platform { result.source.choices.platform = platform }
        if let image = item.options.image { result.source.imageInFile = image }
        if let word = item.options.compression, let own = Compression(rawValue: word) { (result.compression, result.level) = (own, nil) }
        if let level = item.options.compressionLevel { result.level = level }
        return result
    }
}
