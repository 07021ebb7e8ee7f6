import CArchive

/// Feeds a source to libarchive, which pulls through a C callback and can't carry Swift's errors.
final class ArchiveInput {
    private let source: any ByteSource
    private let buffer: UnsafeMutableRawBufferPointer
    /// What the source threw, if it did.
    private(set) var error: (any Error)?

    init(_ source: any ByteSource, bufferSize: Int) {
        self.source = source
        buffer = .allocate(byteCount: bufferSize, alignment: 64)
    }

    deinit { buffer.deallocate() }

    /// Opens `archive` on this input, which must outlive it.
    /// - Returns: libarchive's code.
    func open(_ archive: OpaquePointer) -> Int32 {
        archive_read_open2(
            archive, Unmanaged.passUnretained(self).toOpaque(), nil,
            { _, data, out in
                let input = Unmanaged<ArchiveInput>.fromOpaque(data!).takeUnretainedValue()
                do {
                    out?.pointee = UnsafeRawPointer(input.buffer.baseAddress)
                    return try input.source.read(into: input.buffer)
                } catch {
                    input.error = error
                    return -1
                }
            },
            { _, data, count in
                let input = Unmanaged<ArchiveInput>.fromOpaque(data!).takeUnretainedValue()
                return Int64(input.source.skip(Int(count)))
            }, nil)
    }
}
