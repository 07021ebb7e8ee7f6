import Archive
import ArgumentParser
import Threads

/// How an ACI is compressed (appc spec `aci.md#image-archives`: gzip, bzip2, xz, or not at all).
public enum Compression: String, ExpressibleByArgument, CaseIterable, Sendable {
    case gzip, none, xz, bzip2, zstd

    /// Levels as the codec counts, and the one that is taken where nobody says.
    private var levels: (range: ClosedRange<Int>, standard: Int) {
        switch self {
        // ISA-L's. Its second is within 5% of what zlib makes by default, in a tenth of the time.
        case .gzip: (0...3, 2)
        case .none: (0...0, 0)
        case .xz: (0...9, 6)
        case .bzip2: (1...9, 9)
        case .zstd: (1...19, 3)
        }
    }

    /// - Throws: `ValidationError` for a level that the codec hasn't.
    func check(level: Int?) throws {
        guard let level, !levels.range.contains(level) else { return }
        throw ValidationError("--compression-level \(level): \(self) has levels \(levels.range.lowerBound) to \(levels.range.upperBound)")
    }

    /// The level of gzip at which layers are kept, from which an image is made that is compressed in this way.
    func shelfLevel(_ level: Int?) -> Int { self == .gzip ? level ?? levels.standard : Self.gzip.levels.standard }

    /// What compresses into `sink`.
    /// - Parameter workers: how many threads compress, where several can.
    func sink(_ sink: any ByteSink, level: Int?, workers: Int = processorCount) throws -> any ByteSink {
        let level = level ?? levels.standard
        return switch self {
        case .none: sink
        case .gzip: try GzipSink(sink, level: level, workers: workers)
        case .xz: try FilterSink(sink, codec: .xz, level: level)
        case .bzip2: try FilterSink(sink, codec: .bzip2, level: level)
        case .zstd: try FilterSink(sink, codec: .zstd, level: level)
        }
    }
}
