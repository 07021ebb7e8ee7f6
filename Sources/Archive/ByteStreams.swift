import Files

/// Bytes that are pulled: a file, a decompressor. Used by one thread at a time.
public protocol ByteSource: AnyObject {
    /// Fills at most `buffer.count` bytes, which is more than 0.
    /// - Returns: how many came; 0 only at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// Passes over at most `count` bytes where that is cheaper than reading them.
    /// - Returns: how many; 0 where they must be read.
    func skip(_ count: Int) -> Int
}

extension ByteSource {
    public func skip(_ count: Int) -> Int { 0 }

    /// Reads whatever is left and drops it.
    public func drain() throws { try pass { _ in } }

    /// Reads whatever is left, a piece after the other.
    public func pass(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while case let count = try read(into: buffer), count > 0 { try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
    }
}

/// Bytes that are pushed: a file, a hash, a compressor. Used by one thread at a time.
public protocol ByteSink: AnyObject {
    func write(_ bytes: UnsafeRawBufferPointer) throws
    /// What follows is likely to stand in other archives too: a compressor begins anew, so that it comes out the same there.
    func cut() throws
    /// Bytes that are there in deflated form; written as they are before where the sink doesn't deflate in the same way.
    func append(_ block: DeflatedBlock) throws
    /// Everything was written; nothing may follow. Called once, and not at all after an error.
    func finish() throws
}

extension ByteSink {
    public func cut() throws {}
    public func append(_ block: DeflatedBlock) throws { try write(block.inflated()) }
    public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }
}

/// A region of a file. Reads are positioned, so that regions of one file don't disturb each other.
public final class FileRegion: ByteSource {
    private let file: OpenFile
    private var position: Int
    private let end: Int

    public init(_ file: OpenFile, offset: Int, length: Int) {
        self.file = file
        position = offset
        end = offset + length
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let wanted = min(buffer.count, end - position)
        guard wanted > 0 else { return 0 }
        let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: position)
        // A region that ends early is a file that was cut off.
        guard count > 0 else { throw ArchiveError.truncated }
        position += count
        return count
    }

    public func skip(_ count: Int) -> Int {
        let skipped = max(0, min(count, end - position))
        position += skipped
        return skipped
    }
}

/// A whole file or pipe, from its position on.
public final class FileSource: ByteSource {
    private let file: OpenFile
    public init(_ file: OpenFile) { self.file = file }
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try file.read(into: buffer) }
}

/// Writes to a file in large pieces. `finish()` flushes; making it durable is the owner's decision.
public final class FileSink: ByteSink {
    private let file: OpenFile
    private var buffer: [UInt8] = []
    private let capacity = 256 * 1024
    private let room: ((Int) throws -> Void)?

    /// - Parameter room: is told how many more bytes will be written, each time before some are; throws to give up.
    public init(_ file: OpenFile, room: ((Int) throws -> Void)? = nil) {
        self.file = file
        self.room = room
        buffer.reserveCapacity(capacity)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        if buffer.count + bytes.count > capacity { try flush() }
        guard bytes.count >= capacity else { return buffer.append(contentsOf: bytes) }
        try room?(bytes.count)
        try file.write(bytes)
    }

    private func flush() throws {
        try room?(buffer.count)
        try buffer.withUnsafeBytes { try file.write($0) }
        buffer.removeAll(keepingCapacity: true)
    }

    public func finish() throws { try flush() }
}

/// Sends the same bytes to several sinks, in order.
public final class TeeSink: ByteSink {
    private let sinks: [any ByteSink]
    public init(_ sinks: [any ByteSink]) { self.sinks = sinks }
    public func write(_ bytes: UnsafeRawBufferPointer) throws { for sink in sinks { try sink.write(bytes) } }
    public func cut() throws { for sink in sinks { try sink.cut() } }
    public func append(_ block: DeflatedBlock) throws { for sink in sinks { try sink.append(block) } }
    public func finish() throws { for sink in sinks { try sink.finish() } }
}

/// Hands the bytes to a closure, such as a hash's `update`.
public final class ClosureSink: ByteSink {
    private let body: (UnsafeRawBufferPointer) -> Void
    public init(_ body: @escaping (UnsafeRawBufferPointer) -> Void) { self.body = body }
    public func write(_ bytes: UnsafeRawBufferPointer) { body(bytes) }
    public func finish() {}
}

/// Passes a source's bytes on, showing each piece to a closure: how a digest is computed on the way.
public final class ObservedSource: ByteSource {
    private let source: any ByteSource
    private let observe: (UnsafeRawBufferPointer) throws -> Void

    public init(_ source: any ByteSource, _ observe: @escaping (UnsafeRawBufferPointer) throws -> Void) {
        self.source = source
        self.observe = observe
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        try observe(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        return count
    }
}
