import Threads

/// What two threads share when one makes blocks and the other takes them.
private struct Pipe {
    var blocks: [[UInt8]] = []
    /// Nothing more comes: the maker has ended, or failed.
    var closed = false
    /// Nobody takes any more.
    var abandoned = false
    var error: (any Error)?

    static let capacity = 8
    static let blockSize = 256 * 1024
}

/// Reads a source ahead on a thread of its own, so that decompression runs beside what follows it.
public final class ReadAheadSource: ByteSource {
    private let pipe: Monitor<Pipe>
    /// Where blocks are shown to somebody on their way: from the first pipe to the second.
    private let pipes: [Monitor<Pipe>]
    private var threads: [WorkerThread] = []
    private var current: ArraySlice<UInt8> = []

    private struct Unchecked: @unchecked Sendable {
        let source: any ByteSource
        let observe: ((UnsafeRawBufferPointer) throws -> Void)?
    }

    /// - Parameters:
    ///   - source: is used by the new thread alone from now on.
    ///   - observe: is shown every block, in order, on one more thread; all of them before the last one can be read.
    public init(_ source: any ByteSource, observe: ((UnsafeRawBufferPointer) throws -> Void)? = nil) {
        let unchecked = Unchecked(source: source, observe: observe)
        let first = Monitor(Pipe())
        pipe = observe == nil ? first : Monitor(Pipe())
        pipes = observe == nil ? [first] : [first, pipe]
        threads.append(
            WorkerThread {
                Self.fill(first) {
                    let block = try [UInt8](unsafeUninitializedCapacity: Pipe.blockSize) { buffer, count in
                        count = try unchecked.source.read(into: UnsafeMutableRawBufferPointer(buffer))
                    }
                    return block.isEmpty ? nil : block
                }
            })
        guard observe != nil else { return }
        threads.append(
            WorkerThread { [pipe] in
                // The source is what all wait for.
                WorkerThread.yieldToOthers()
                Self.fill(pipe) {
                    let block = try Self.take(first)
                    try block?.withUnsafeBytes { try unchecked.observe?($0) }
                    return block
                }
            })
    }

    /// Puts blocks into a pipe until `next` has none left, or nobody takes them.
    private static func fill(_ pipe: Monitor<Pipe>, next: () throws -> [UInt8]?) {
        do {
            while let block = try next() {
                let goOn = pipe.wait { state -> Bool? in
                    if state.abandoned { return false }
                    guard state.blocks.count < Pipe.capacity else { return nil }
                    state.blocks.append(block)
                    return true
                }
                if !goOn { return }
            }
            pipe.update { $0.closed = true }
        } catch {
            pipe.update { state in
                state.error = error
                state.closed = true
            }
        }
    }

    /// - Returns: nil at the end.
    private static func take(_ pipe: Monitor<Pipe>) throws -> [UInt8]? {
        try pipe.wait { state -> [UInt8]?? in
            if !state.blocks.isEmpty { return .some(state.blocks.removeFirst()) }
            if let error = state.error { throw error }
            return state.closed || state.abandoned ? .some(nil) : nil
        }
    }

    deinit {
        for pipe in pipes { pipe.update { $0.abandoned = true } }
        for thread in threads { thread.join() }
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if current.isEmpty {
            guard let block = try Self.take(pipe) else { return 0 }
            current = block[...]
        }
        let count = min(buffer.count, current.count)
        current.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        current = current.dropFirst(count)
        return count
    }
}

/// Runs a sink on a thread of its own, so that hashing runs beside what makes the bytes.
public final class ThreadedSink: ByteSink {
    private let pipe = Monitor(Pipe())
    private var thread: WorkerThread?
    private var block: [UInt8] = []

    private struct Unchecked: @unchecked Sendable {
        let sink: any ByteSink
    }

    /// - Parameter sink: is used by the new thread alone until ``finish()`` has returned.
    public init(_ sink: any ByteSink) {
        let unchecked = Unchecked(sink: sink)
        block.reserveCapacity(Pipe.blockSize)
        thread = WorkerThread { [pipe] in
            do {
                while let block = pipe.wait(for: { state -> [UInt8]?? in
                    if state.abandoned { return .some(nil) }
                    if !state.blocks.isEmpty { return state.blocks.removeFirst() }
                    return state.closed ? .some(nil) : nil
                }) {
                    try block.withUnsafeBytes { try unchecked.sink.write($0) }
                }
                if !pipe.update({ $0.abandoned }) { try unchecked.sink.finish() }
            } catch {
                pipe.update { $0.error = error }
            }
        }
    }

    deinit {
        pipe.update { $0.abandoned = true }
        thread?.join()
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        block.append(contentsOf: bytes)
        if block.count >= Pipe.blockSize { try submit() }
    }

    private func submit() throws {
        let full = block
        block = []
        block.reserveCapacity(Pipe.blockSize)
        try pipe.wait { state -> Void? in
            if let error = state.error { throw error }
            guard state.blocks.count < Pipe.capacity else { return nil }
            state.blocks.append(full)
            return ()
        }
    }

    public func finish() throws {
        if !block.isEmpty { try submit() }
        pipe.update { $0.closed = true }
        thread?.join()
        thread = nil
        if let error = pipe.update({ $0.error }) { throw error }
    }
}
