import Threads

/// Compresses to one gzip member (RFC 1952) in parallel, in blocks that are simply joined. The bytes depend on the input, its cuts
/// and the level alone, not on the number of threads. The header carries no time and no name.
public final class GzipSink: ByteSink {
    private final class State {
        var checksum: UInt32 = 0
        var length: UInt32 = 0
    }

    private let sink: any ByteSink
    private let compressor: BlockCompressor
    private let state = State()

    /// - Parameters:
    ///   - level: 0 (fastest) to 3 (smallest), as ISA-L counts.
    ///   - workers: how many threads compress.
    public init(_ sink: any ByteSink, level: Int = 2, workers: Int = processorCount) throws {
        self.sink = sink
        // Magic, deflate, no flags, no time, no extra flags, unknown operating system.
        try sink.write([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
        compressor = BlockCompressor(level: level, workers: workers) { [state] block in
            state.checksum = block.checksum(after: state.checksum)
            state.length &+= UInt32(truncatingIfNeeded: block.plainSize)
            try sink.write(block.bytes)
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws { try compressor.write(bytes) }
    public func cut() throws { try compressor.cut() }

    /// Writes what was deflated before, at this sink's level.
    public func append(_ block: DeflatedBlock) throws { try compressor.append(block) }

    public func finish() throws {
        try compressor.finish()
        // An empty final block, the checksum and the length modulo 2^32.
        var tail: [UInt8] = [3, 0]
        for value in [state.checksum, state.length] {
            for shift in stride(from: UInt32(0), to: 32, by: 8) { tail.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        try sink.write(tail)
        try sink.finish()
    }
}
