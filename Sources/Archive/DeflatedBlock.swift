import CISAL
import CZlib
import Glibc
import Threads

/// Deflated bytes that stand on their own: they begin and end on a byte, lead back to nothing before them, and are followed by
/// other blocks or by the end of a gzip member.
public struct DeflatedBlock: Sendable {
    public var bytes: [UInt8]
    /// Bytes before compression.
    public var plainSize: Int
    /// CRC-32 of those (RFC 1952).
    public var checksum: UInt32

    public init(bytes: [UInt8], plainSize: Int, checksum: UInt32) {
        self.bytes = bytes
        self.plainSize = plainSize
        self.checksum = checksum
    }

    /// The checksum of what came before and of this block together.
    func checksum(after before: UInt32) -> UInt32 { UInt32(crc32_combine(uLong(before), uLong(checksum), plainSize)) }

    /// The bytes before compression.
    /// - Throws: ``ArchiveError/corrupt(codec:reason:)``
    public func inflated() throws -> [UInt8] {
        let state = UnsafeMutablePointer<inflate_state>.allocate(capacity: 1)
        defer { state.deallocate() }
        isal_inflate_init(state)
        let result = [UInt8](unsafeUninitializedCapacity: plainSize) { output, count in
            bytes.withUnsafeBufferPointer { input in
                state.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                state.pointee.avail_in = UInt32(input.count)
                state.pointee.next_out = output.baseAddress
                state.pointee.avail_out = UInt32(plainSize)
                if isal_inflate(state) == ISAL_DECOMP_OK { count = Int(state.pointee.total_out) }
            }
        }
        guard result.count == plainSize, result.withUnsafeBufferPointer({ crc32_gzip_refl(0, $0.baseAddress, UInt64($0.count)) }) == checksum else {
            throw ArchiveError.corrupt(codec: "deflate", reason: "a block has changed on the disk")
        }
        return result
    }
}

/// Cuts bytes into blocks and deflates them in parallel, each on its own by ISA-L. What becomes of them depends on the bytes, the
/// cuts and the level alone, not on the number of threads.
public final class BlockCompressor {
    private static let blockSize = 1 << 20

    /// Blocks on their way. The worker that completes the block whose turn it is passes it on, and those behind it that wait.
    private struct Queue {
        var blocks: [(index: Int, bytes: [UInt8])] = []
        var inFlight = 0
        var nextIndex = 0
        var nextToPass = 0
        var ready: [Int: DeflatedBlock] = [:]
        var passing = false
        var closed = false
        var error: (any Error)?
    }

    /// Is called by one thread at a time: `passing` sees to it.
    private struct Output: @unchecked Sendable { let pass: (DeflatedBlock) throws -> Void }

    private let queue = Monitor(Queue())
    private let output: Output
    private var threads: [WorkerThread] = []
    private let limit: Int
    private let own: Deflater?
    private var block: [UInt8] = []

    /// - Parameters:
    ///   - level: 0 (fastest) to 3 (smallest), as ISA-L counts.
    ///   - workers: how many threads compress; with none, whoever writes does.
    ///   - output: gets the blocks in their order, on any thread, one at a time.
    public init(level: Int, workers: Int = processorCount, output: @escaping (DeflatedBlock) throws -> Void) {
        self.output = Output(pass: output)
        limit = workers * 2
        own = workers == 0 ? Deflater(level: level) : nil
        block.reserveCapacity(Self.blockSize)
        for _ in 0..<workers {
            threads.append(WorkerThread { [queue, output = self.output] in Self.work(queue, output, Deflater(level: level)) })
        }
    }

    deinit { close() }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while rest.count > 0 {
            let count = min(rest.count, Self.blockSize - block.count)
            block.append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if block.count == Self.blockSize { try cut() }
        }
    }

    /// Ends the block at hand: what follows begins a new one.
    public func cut() throws {
        guard !block.isEmpty else { return }
        let full = block
        block = []
        block.reserveCapacity(Self.blockSize)
        if let own { return try output.pass(own.deflate(full)) }
        try submit { state, index in state.blocks.append((index, full)) }
    }

    /// Passes on a block that is deflated already, after all that was written.
    public func append(_ block: DeflatedBlock) throws {
        try cut()
        if own != nil { return try output.pass(block) }
        try submit { state, index in state.ready[index] = block }
        Self.passOn(queue, output)
    }

    /// Ends the last block and waits for all of them.
    public func finish() throws {
        try cut()
        close()
        if let error = queue.update({ $0.error }) { throw error }
    }

    private func submit(_ body: (inout Queue, Int) -> Void) throws {
        try queue.wait { state -> Void? in
            if let error = state.error { throw error }
            guard state.inFlight < limit else { return nil }
            body(&state, state.nextIndex)
            state.nextIndex += 1
            state.inFlight += 1
            return ()
        }
    }

    private func close() {
        queue.update { $0.closed = true }
        for thread in threads { thread.join() }
        threads = []
    }

    private static func work(_ queue: Monitor<Queue>, _ output: Output, _ deflater: Deflater) {
        while true {
            let job = queue.wait { state -> (index: Int, bytes: [UInt8])?? in
                if state.error != nil { return .some(nil) }
                if !state.blocks.isEmpty { return state.blocks.removeFirst() }
                return state.closed ? .some(nil) : nil
            }
            guard let job else { return }
            let block = deflater.deflate(job.bytes)
            queue.update { $0.ready[job.index] = block }
            passOn(queue, output)
        }
    }

    private static func passOn(_ queue: Monitor<Queue>, _ output: Output) {
        while true {
            let next = queue.update { state -> DeflatedBlock? in
                guard !state.passing, state.error == nil, let block = state.ready.removeValue(forKey: state.nextToPass) else { return nil }
                state.passing = true
                return block
            }
            guard let next else { return }
            var failure: (any Error)?
            do { try output.pass(next) } catch { failure = error }
            queue.update { state in
                state.passing = false
                state.nextToPass += 1
                state.inFlight -= 1
                if let failure { state.error = failure }
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
        stream = StreamMemory.take()
        levelBuffer = .allocate(byteCount: max(1, Int(isal_level_buffer_size(self.level))), alignment: 64)
    }

    deinit {
        StreamMemory.giveBack(stream)
        levelBuffer.deallocate()
    }

    func deflate(_ bytes: [UInt8]) -> DeflatedBlock {
        // Stored blocks bound what incompressible bytes can grow to: 5 bytes for each 64 KiB, and a flush.
        let bound = bytes.count + bytes.count / 65535 * 5 + 1024
        if output.count < bound { output = [UInt8](repeating: 0, count: bound) }
        isal_deflate_stateless_init(stream)
        // Older versions leave it as it is.
        stream.pointee.hist_bits = 0
        stream.pointee.level = level
        stream.pointee.level_buf = levelBuffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.level_buf_size = UInt32(levelBuffer.count)
        stream.pointee.flush = UInt16(FULL_FLUSH)
        stream.pointee.end_of_stream = 0
        var checksum: UInt32 = 0
        let written = bytes.withUnsafeBufferPointer { input in
            output.withUnsafeMutableBufferPointer { out in
                stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = out.baseAddress
                stream.pointee.avail_out = UInt32(out.count)
                let code = isal_deflate_stateless(stream)
                precondition(code == COMP_OK && stream.pointee.avail_in == 0, "ISA-L: deflate failed with code \(code)")
                checksum = crc32_gzip_refl(0, input.baseAddress, UInt64(input.count))
                return Int(stream.pointee.total_out)
            }
        }
        return DeflatedBlock(bytes: Array(output[..<written]), plainSize: bytes.count, checksum: checksum)
    }
}

/// Memory for ISA-L's streams, at addresses that all make the same bytes.
///
/// ISA-L (2.30 to 2.32, x86-64, levels 1 and 2) hashes a register that still holds the stream's address when it begins a block
/// (`.write_first_byte` of `igzip_icf_body_h1_gr_bt.asm`), and by that overwrites a slot of its table of matches: one time in a few
/// thousand a match is lost that is found elsewhere. The slot is the CRC-32C of the address, shifted right by 16. So streams lie where
/// the lower half of that is 0. The CRC is linear: those addresses are the sums, without carry, of the ones below.
private enum StreamMemory {
    private static let basis: [UInt] = [
        0xD6CB, 0x2360A, 0x46C14, 0x80EE3, 0x10_1DC6, 0x20_3B8C, 0x41_0C45, 0x80_2E80, 0x101_265D, 0x201_01ED, 0x400_35D0, 0x800_6BA0,
        0x1001_7AD6, 0x2001_6E30, 0x4001_47FC,
    ]

    private struct Pool: @unchecked Sendable {
        var free: [UnsafeMutablePointer<isal_zstream>] = []
        #if THREAD_SANITIZER
            // It gives nobody the lower ones.
            var next = 0x7E80
        #else
            var next = 1
        #endif
    }
    private static let pool = Monitor(Pool())

    static func take() -> UnsafeMutablePointer<isal_zstream> {
        pool.update { pool in
            if let found = pool.free.popLast() { return found }
            let size = MemoryLayout<isal_zstream>.stride
            while pool.next < 1 << basis.count {
                let address = basis.indices.reduce(UInt(0)) { $0 ^ (pool.next >> $1 & 1 == 1 ? basis[$1] : 0) } << 16
                pool.next += 1
                // MAP_FIXED_NOREPLACE: what is taken stays. An older kernel takes it as a wish.
                let found = mmap(UnsafeMutableRawPointer(bitPattern: address), size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0)
                if found != MAP_FAILED, UInt(bitPattern: found) == address { return found!.bindMemory(to: isal_zstream.self, capacity: 1) }
                if found != MAP_FAILED { munmap(found, size) }
            }
            fatalError("no memory for compression")
        }
    }

    static func giveBack(_ stream: UnsafeMutablePointer<isal_zstream>) { pool.update { $0.free.append(stream) } }
}
