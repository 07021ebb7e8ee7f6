import ArgumentParser
import Program

/// Bounds that an image must keep.
public struct LimitOptions: ParsableArguments, Sendable {
    @Option(help: ArgumentHelp("Refuse images with more data than this: bytes, or 500M, 20G. (default: 1T)", valueName: "size"))
    public var maxSize: ByteCount?

    @Option(help: ArgumentHelp("Refuse images with more entries than this in all layers together. (default: 4000000)", valueName: "n"))
    public var maxEntries: Int?

    @Option(help: ArgumentHelp("Refuse layers that unpack to more than this many times their size. (default: 5000)", valueName: "n"))
    public var maxRatio: Int?

    public init() {}

    public func validate() throws {
        for (name, value) in [("--max-entries", maxEntries), ("--max-ratio", maxRatio)] where (value ?? 1) < 1 {
            throw ValidationError("\(name) \(value!): give a number of 1 or more")
        }
    }

    /// The same as words.
    public var arguments: [String] {
        var result: [String] = []
        if let maxSize { result.append("--max-size=\(maxSize.bytes)") }
        if let maxEntries { result.append("--max-entries=\(maxEntries)") }
        if let maxRatio { result.append("--max-ratio=\(maxRatio)") }
        return result
    }
}
