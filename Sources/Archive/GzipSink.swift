import CISAL
import Threads

/// Compresses to one gzip member (RFC 1952) in parallel.
///
/// The input is cut into blocks of a fixed size; each is deflated on its own by ISA-L and ends on a byte boundary (a full
/// flush), so that they can simply be joined. The bytes depend on the input and the level alone, not on the number of
/// threads. The header carries no time and no name.
public final class GzipSink: ByteSink {
    private static let blockSize = 1 << 20

    /// Blocks on their way. The worker that completes the block whose turn it is writes it, and those behind it that wait.
    private struct Queue {
        var blocks: [(index: Int, bytes: [UInt8])] = []
        var inFlight = 0
        var nextIndex = 0
        var nextToWrite = 0
        var ready: [Int: [UInt8]] = [:]
        var writing = false
        var closed = false
        var error: (any Error)?
    }

    private let sink: any ByteSink
    private let queue = Monitor(Queue())
    private var threads: [WorkerThread] = []
    private let limit: Int
    private var block: [UInt8] = []
    private var crc: UInt32 = 0
    private var length: UInt32 = 0

    /// - Parameters:
    ///   - level: 0 (fastest) to 3 (smallest), as ISA-L counts.
    ///   - workers: how many threads compress.
    public init(_ sink: any ByteSink, level: Int = 2, workers: Int = processorCount) throws {
        self.sink = sink
        limit = workers * 2
        block.reserveCapacity(Self.blockSize)
        // Magic, deflate, no flags, no time, no extra flags, unknown operating system.
        try sink.write([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
        let output = UncheckedSink(sink)
        for _ in 0..<workers {
            threads.append(WorkerThread { [queue] in Self.work(queue, output, Deflater(level: level)) })
        }
    }

    /// The sink is used by one worker at a time: `writing` sees to it.
    private struct UncheckedSink: @unchecked Sendable {
        let sink: any ByteSink
        init(_ sink: any ByteSink) { self.sink = sink }
    }

    deinit { close() }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count > 0 else { return }
        crc = crc32_gzip_refl(crc, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
        length &+= UInt32(truncatingIfNeeded: bytes.count)
        var rest = bytes
        while rest.count > 0 {
            let count = min(rest.count, Self.blockSize - block.count)
            block.append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if block.count == Self.blockSize { try submit() }
        }
    }

    private func submit() throws {
        let full = block
        block = []
        block.reserveCapacity(Self.blockSize)
        try queue.wait { state -> Void? in
            if let error = state.error { throw error }
            guard state.inFlight < limit else { return nil }
            state.blocks.append((state.nextIndex, full))
            state.nextIndex += 1
            state.inFlight += 1
            return ()
        }
    }

    public func finish() throws {
        if !block.isEmpty { try submit() }
        close()
        if let error = queue.update({ $0.error }) { throw error }
        // An empty final block, the checksum and the length modulo 2^32.
        var tail: [UInt8] = [3, 0]
        for value in [crc, length] { for shift in stride(from: UInt32(0), to: 32, by: 8) { tail.append(UInt8(truncatingIfNeeded: value >> shift)) } }
        try sink.write(tail)
        try sink.finish()
    }

    private func close() {
        queue.update { $0.closed = true }
        for thread in threads { thread.join() }
        threads = []
    }

    private static func work(_ queue: Monitor<Queue>, _ output: UncheckedSink, _ deflater: Deflater) {
        while true {
            let job = queue.wait { state -> (index: Int, bytes: [UInt8])?? in
                if state.error != nil { return .some(nil) }
                if !state.blocks.isEmpty { return state.blocks.removeFirst() }
                return state.closed ? .some(nil) : nil
            }
            guard let job else { return }
            let compressed = deflater.deflate(job.bytes)
            queue.update { $0.ready[job.index] = compressed }
            while true {
                let next = queue.update { state -> [UInt8]? in
                    guard !state.writing, state.error == nil, let bytes = state.ready.removeValue(forKey: state.nextToWrite) else { return nil }
                    state.writing = true
                    return bytes
                }
                guard let next else { break }
                var failure: (any Error)?
                do { try output.sink.write(next) } catch { failure = error }
                queue.update { state in
                    state.writing = false
                    state.nextToWrite += 1
                    state.inFlight -= 1
                    if let failure { state.error = failure }
                }
            }
        }
    }
}

/// Deflates blocks independently of each other. Owns ISA-L's state and buffers; used by one thread.
private final class Deflater {
    private let stream: UnsafeMutablePointer<isal_zstream>
    private let levelBuffer: UnsafeMutableRawBufferPointer
    private let level: UInt32
    private var output: [UInt8] = []

    init(level: Int) {
        self.level = UInt32(level)
        stream = .allocate(capacity: 1)
        levelBuffer = .allocate(byteCount: max(1, Int(isal_level_buffer_size(self.level))), alignment: 64)
    }

    deinit {
        stream.deallocate()
        levelBuffer.deallocate()
    }

    func deflate(_ bytes: [UInt8]) -> [UInt8] {
        // Stored blocks bound what incompressible bytes can grow to: 5 bytes for each 64 KiB, and a flush.
        let bound = bytes.count + bytes.count / 65535 * 5 + 1024
        if output.count < bound { output = [UInt8](repeating: 0, count: bound) }
        isal_deflate_stateless_init(stream)
        stream.pointee.level = level
        stream.pointee.level_buf = levelBuffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.level_buf_size = UInt32(levelBuffer.count)
        stream.pointee.flush = UInt16(FULL_FLUSH)
        stream.pointee.end_of_stream = 0
        let written = bytes.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { out in
                stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = out.baseAddress
                stream.pointee.avail_out = UInt32(out.count)
                let code = isal_deflate_stateless(stream)
                precondition(code == COMP_OK && stream.pointee.avail_in == 0, "ISA-L: deflate failed with code \(code)")
                return Int(stream.pointee.total_out)
            }
        }
        return Array(output[..<written])
    }
}
