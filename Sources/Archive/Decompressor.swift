import CArchive
import CZstd

/// A source whose first bytes were looked at and are given again.
final class PeekedSource: ByteSource {
    private var head: ArraySlice<UInt8>
    private let source: any ByteSource

    /// Reads up to `count` bytes ahead.
    init(_ source: any ByteSource, count: Int) throws {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = try bytes.withUnsafeMutableBytes { try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
            if got == 0 { break }
            filled += got
        }
        head = bytes[..<filled]
        self.source = source
    }

    func starts(with magic: [UInt8]) -> Bool { head.starts(with: magic) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard !head.isEmpty else { return try source.read(into: buffer) }
        let count = min(head.count, buffer.count)
        buffer.copyBytes(from: head.prefix(count))
        head = head.dropFirst(count)
        return count
    }
}

/// Turns a layer or an ACI, compressed or not, into its plain bytes. The codec is told by the bytes, not by a media type.
public enum Decompressor {
    /// - Throws: errors of the source; the result throws ``ArchiveError`` where the bytes stop making sense.
    public static func open(_ source: any ByteSource) throws -> any ByteSource {
        let peeked = try PeekedSource(source, count: 6)
        if peeked.starts(with: [0x1F, 0x8B]) { return Inflater(peeked) }
        if peeked.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return ZstdSource(peeked) }
        if peeked.starts(with: Array("BZh".utf8)) { return try FilterSource(peeked, codec: "bzip2") }
        if peeked.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { return try FilterSource(peeked, codec: "xz") }
        return peeked
    }
}

/// Decompresses zstd (RFC 8878), any number of frames. Windows over 128 MiB are refused by the library.
final class ZstdSource: ByteSource {
    private let input: any ByteSource
    private let context: OpaquePointer
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 * 1024, alignment: 64)
    private var pending = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    private var frameOpen = false

    init(_ input: any ByteSource) {
        self.input = input
        guard let context = ZSTD_createDCtx() else { fatalError("zstd: out of memory") }
        self.context = context
    }

    deinit {
        ZSTD_freeDCtx(context)
        buffer.deallocate()
    }

    func read(into output: UnsafeMutableRawBufferPointer) throws -> Int {
        var out = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        while true {
            if pending.pos == pending.size {
                let count = try input.read(into: buffer)
                pending = ZSTD_inBuffer(src: buffer.baseAddress, size: count, pos: 0)
            }
            let ended = pending.size == 0
            let code = ZSTD_decompressStream(context, &out, &pending)
            guard ZSTD_isError(code) == 0 else {
                throw ArchiveError.corrupt(codec: "zstd", reason: String(cString: ZSTD_getErrorName(code)))
            }
            if out.pos > 0 {
                frameOpen = code != 0
                return out.pos
            }
            if ended {
                // A call without input after a whole frame asks for the next frame's header: that is the end.
                guard !frameOpen else { throw ArchiveError.truncated }
                return 0
            }
            frameOpen = code != 0
        }
    }
}

/// Decompresses bzip2 and xz, which no registry makes and old ACIs have, over libarchive's filters.
final class FilterSource: ByteSource {
    private let archive: OpaquePointer
    private let input: ArchiveInput
    private let codec: String
    private var isEmpty = false

    init(_ source: any ByteSource, codec: String) throws {
        guard let archive = archive_read_new() else { fatalError("libarchive: out of memory") }
        self.archive = archive
        self.codec = codec
        input = ArchiveInput(source, bufferSize: 128 * 1024)
        _ = codec == "xz" ? archive_read_support_filter_xz(archive) : archive_read_support_filter_bzip2(archive)
        archive_read_support_format_raw(archive)
        archive_read_support_format_empty(archive)
        var entry: OpaquePointer?
        guard input.open(archive) == ARCHIVE_OK else { throw failure() }
        let code = archive_read_next_header(archive, &entry)
        guard code == ARCHIVE_OK || code == ARCHIVE_EOF else { throw failure() }
        // Too little of a stream isn't recognised as one, and would be passed on as it is.
        guard archive_filter_code(archive, 0) != ARCHIVE_FILTER_NONE else { throw ArchiveError.truncated }
        isEmpty = code == ARCHIVE_EOF
    }

    deinit { archive_read_free(archive) }

    func read(into output: UnsafeMutableRawBufferPointer) throws -> Int {
        if isEmpty { return 0 }
        let count = archive_read_data(archive, output.baseAddress, output.count)
        guard count >= 0 else { throw failure() }
        return count
    }

    private func failure() -> any Error {
        if let error = input.error { return error }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
        return text.contains("runcated") ? ArchiveError.truncated : ArchiveError.corrupt(codec: codec, reason: text)
    }
}
