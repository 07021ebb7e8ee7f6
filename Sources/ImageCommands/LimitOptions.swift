import ArgumentParser
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

/// A number of bytes as people write it: `4096`, `500M`, `20G`; units are powers of 1024.
public struct ByteCount: ExpressibleByArgument, Sendable {
    public var bytes: Int

    public init?(argument: String) {
        let units: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
        let shift = argument.last.flatMap { units[Character($0.uppercased())] }
        guard let number = Int(shift == nil ? Substring(argument) : argument.dropLast()), number > 0 else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: 1 << (shift ?? 0))
        guard !overflow else { return nil }
        bytes = product
    }
}
