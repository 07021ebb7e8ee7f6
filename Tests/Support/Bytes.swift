import Archive

/// Bytes in memory: a sink that keeps them, a source that gives them.
public final class Bytes: ByteSink, ByteSource {
    public private(set) var bytes: [UInt8]
    private var position = 0

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    public func write(_ new: UnsafeRawBufferPointer) { bytes.append(contentsOf: new) }
    public func finish() {}
    public func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(buffer.count, bytes.count - position)
        buffer.copyBytes(from: bytes[position..<position + count])
        position += count
        return count
    }
}

/// A layer's tar.
public func tar(_ layer: [(entry: TarEntry, content: [UInt8])]) throws -> [UInt8] {
    let sink = Bytes()
    let writer = TarWriter(sink)
    for (entry, content) in layer {
        var entry = entry
        entry.size = Int64(content.count)
        try writer.header(entry)
        if !content.isEmpty { try content.withUnsafeBytes { try writer.data($0) } }
    }
    try writer.finish()
    return sink.bytes
}

/// All that a source gives.
public func readAll(_ source: any ByteSource) throws -> [UInt8] {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 70_000)
    while true {
        let count = try buffer.withUnsafeMutableBytes { try source.read(into: $0) }
        if count == 0 { return result }
        result += buffer[..<count]
    }
}
