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
    private let pipe = Monitor(Pipe())
    private var thread: WorkerThread?
    private var current: ArraySlice<UInt8> = []

    private struct Unchecked: @unchecked Sendable {
        let source: any ByteSource
    }

    /// - Parameter source: is used by the new thread alone from now on.
    public init(_ source: any ByteSource) {
        let unchecked = Unchecked(source: source)
        thread = WorkerThread { [pipe] in
            do {
                while true {
                    var block = [UInt8](repeating: 0, count: Pipe.blockSize)
                    let count = try block.withUnsafeMutableBytes { try unchecked.source.read(into: $0) }
                    if count == 0 { break }
                    block.removeSubrange(count...)
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
    }

    deinit {
        pipe.update { $0.abandoned = true }
        thread?.join()
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if current.isEmpty {
            current = try pipe.wait { state -> ArraySlice<UInt8>? in
                if !state.blocks.isEmpty { return state.blocks.removeFirst()[...] }
                if let error = state.error { throw error }
                return state.closed ? [] : nil
            }
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
