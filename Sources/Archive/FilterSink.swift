import CArchive
import Glibc

/// Compresses with xz, bzip2 or zstd, over libarchive's filters. One thread; the bytes depend on the input, the level and the
/// version of the library.
public final class FilterSink: ByteSink {
    public enum Codec: String, Sendable {
        case xz, bzip2, zstd
    }

    private let sink: any ByteSink
    private let archive: OpaquePointer
    private let codec: Codec
    /// What the sink threw, if it did: libarchive can't carry it.
    private var error: (any Error)?
    private var closed = false

    /// - Parameter level: as the codec's own program counts.
    /// - Throws: ``ArchiveError/corrupt(codec:reason:)`` where the codec or the level is not to be had.
    public init(_ sink: any ByteSink, codec: Codec, level: Int) throws {
        guard let archive = archive_write_new() else { fatalError("libarchive: out of memory") }
        self.sink = sink
        self.archive = archive
        self.codec = codec
        switch codec {
        case .xz: archive_write_add_filter_xz(archive)
        case .bzip2: archive_write_add_filter_bzip2(archive)
        case .zstd: archive_write_add_filter_zstd(archive)
        }
        try check(archive_write_set_filter_option(archive, nil, "compression-level", String(level)))
        archive_write_set_format_raw(archive)
        // Nothing is padded to blocks of a tape.
        archive_write_set_bytes_per_block(archive, 256 * 1024)
        archive_write_set_bytes_in_last_block(archive, 1)
        try check(
            archive_write_open(
                archive, Unmanaged.passUnretained(self).toOpaque(), nil,
                { _, data, bytes, count in
                    let this = Unmanaged<FilterSink>.fromOpaque(data!).takeUnretainedValue()
                    do { try this.sink.write(UnsafeRawBufferPointer(start: bytes, count: count)) } catch {
                        this.error = error
                        return -1
                    }
                    return count
                }, nil))
        let entry = archive_entry_new()
        defer { archive_entry_free(entry) }
        archive_entry_set_filetype(entry, UInt32(Glibc.S_IFREG))
        try check(archive_write_header(archive, entry))
    }

    deinit {
        // Closing would flush what was compressed; after an error nobody wants it.
        if !closed { archive_write_fail(archive) }
        archive_write_free(archive)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count > 0 else { return }
        if archive_write_data(archive, bytes.baseAddress, bytes.count) != bytes.count { try check(ARCHIVE_FATAL) }
    }

    public func finish() throws {
        try check(archive_write_close(archive))
        closed = true
        try sink.finish()
    }

    private func check(_ code: Int32) throws {
        guard code != ARCHIVE_OK else { return }
        if let error { throw error }
        throw ArchiveError.corrupt(codec: codec.rawValue, reason: archive_error_string(archive).map { String(cString: $0) } ?? "unknown error")
    }
}
