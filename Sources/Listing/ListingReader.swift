import Files

/// Reads a listing, entry by entry, in the order of its paths.
public final class ListingReader {
    private let file: OpenFile
    private var offset = 0
    private var buffer: [UInt8] = []
    private var position = 0

    /// - Parameter file: what ``ListingWriter`` wrote.
    public init(_ file: OpenFile) { self.file = file }

    /// - Returns: nil at the end.
    /// - Throws: ``ListingError/damaged``, `FileError`.
    public func next() throws -> ListedEntry? {
        guard try fill(4) else {
            guard position == buffer.count else { throw ListingError.damaged }
            return nil
        }
        let length = (0..<4).reversed().reduce(0) { $0 << 8 | Int(buffer[position + $1]) }
        // Names and attributes of the largest kind there are: more is no entry.
        guard length < 64 << 20, try fill(4 + length) else { throw ListingError.damaged }
        defer { position += 4 + length }
        return try ListedEntry(decoding: buffer[(position + 4)..<(position + 4 + length)])
    }

    /// - Returns: whether there are so many bytes from `position` on.
    private func fill(_ count: Int) throws -> Bool {
        while buffer.count - position < count {
            buffer.removeFirst(position)
            position = 0
            var chunk = [UInt8](repeating: 0, count: max(256 << 10, count))
            let got = try chunk.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
            guard got > 0 else { return false }
            offset += got
            buffer += chunk[..<got]
        }
        return true
    }
}
