import ArgumentParser
import Program
import Squash

/// Bounds that an image must keep: options that all commands share.
struct LimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Refuse images with more data than this: bytes, or 500M, 20G. (default: 1T)", valueName: "size"))
    var maxSize: ByteCount?

    @Option(help: ArgumentHelp("Refuse images with more entries than this in all layers together. (default: 4000000)", valueName: "n"))
    var maxEntries: Int?

    @Option(help: ArgumentHelp("Refuse layers that unpack to more than this many times their size. (default: 5000)", valueName: "n"))
    var maxRatio: Int?

    func limits() throws -> Limits {
        for (name, value) in [("--max-entries", maxEntries), ("--max-ratio", maxRatio)] where (value ?? 1) < 1 {
            throw ValidationError("\(name) \(value!): give a number of 1 or more")
        }
        var limits = Limits()
        if let maxSize { limits.size = maxSize.bytes }
        if let maxEntries { limits.entries = maxEntries }
        if let maxRatio { limits.ratio = maxRatio }
        return limits
    }
}
