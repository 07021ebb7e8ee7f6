import CArchive
import Glibc

/// Compresses with xz, bzip2 or zstd, over libarchive's filters. One thread; the bytes depend on the input, the level and the
/// version of the library.
public final class FilterSink: ByteSink {
    public enum Codec: String, Sendable {
        case xz, bzip2, zstd
    }

    /// Where libarchive writes to. It is never told of an error: of an archive that has failed it doesn't free all (3.6).
    private final class Output {
        let sink: any ByteSink
        /// What the sink threw, if it did. What comes after that goes nowhere.
        var error: (any Error)?
        init(_ sink: any ByteSink) { self.sink = sink }
    }
    private struct Abandoned: Error {}

    private let output: Output
    private let archive: OpaquePointer
    private let codec: Codec
    private var closed = false

    /// - Parameter level: as the codec's own program counts.
    /// - Throws: ``ArchiveError/corrupt(codec:reason:)`` where the codec or the level is not to be had.
    public init(_ sink: any ByteSink, codec: Codec, level: Int) throws {
        guard let archive = archive_write_new() else { fatalError("libarchive: out of memory") }
        output = Output(sink)
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
                archive, Unmanaged.passUnretained(output).toOpaque(), nil,
                { _, data, bytes, count in
                    let output = Unmanaged<Output>.fromOpaque(data!).takeUnretainedValue()
                    if output.error == nil {
                        do { try output.sink.write(UnsafeRawBufferPointer(start: bytes, count: count)) } catch { output.error = error }
                    }
                    return count
                }, nil))
        let entry = archive_entry_new()
        defer { archive_entry_free(entry) }
        archive_entry_set_filetype(entry, UInt32(Glibc.S_IFREG))
        try check(archive_write_header(archive, entry))
    }

    deinit {
        // This closes it, which writes what was compressed: nobody wants that of an archive that isn't finished.
        if !closed { output.error = Abandoned() }
        archive_write_free(archive)
    }

    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard bytes.count > 0 else { return }
        try check(archive_write_data(archive, bytes.baseAddress, bytes.count) == bytes.count ? ARCHIVE_OK : ARCHIVE_FATAL)
    }

    public func finish() throws {
        try check(archive_write_close(archive))
        closed = true
        try output.sink.finish()
    }

    private func check(_ code: Int32) throws {
        if let error = output.error { throw error }
        guard code != ARCHIVE_OK else { return }
        throw ArchiveError.corrupt(codec: codec.rawValue, reason: archive_error_string(archive).map { String(cString: $0) } ?? "unknown error")
    }
}
