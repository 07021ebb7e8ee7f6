import CArchive
import Glibc

/// The members of an archive, one after the other. Used by one thread.
public protocol MemberReader: AnyObject {
    /// The next member; nil at the end. Data of the last one that was not read is skipped.
    func next() throws -> TarEntry?
    /// Where the headers of the last member asked for begin in the tar, in bytes; at its end, where they would.
    var headerPosition: Int { get }
    /// Passes the data of the current member on, once.
    func data(_ body: (UnsafeRawBufferPointer) throws -> Void) throws
}

/// Reads the members of an uncompressed tar of any dialect, over libarchive.
///
/// The process must stay in the C locale, as Swift programs start: then libarchive leaves names as the bytes they are.
/// In a UTF-8 locale it would normalise them (NFC) and lose those that are not UTF-8.
public final class TarReader: MemberReader {
    private let archive: OpaquePointer
    private let input: ArchiveInput
    private let blocks: WholeBlocks
    private var entry: OpaquePointer?
    /// Bytes that follow the last member's data to the end of their block; nil where that isn't known.
    private var padding: Int? = 0

    public init(_ source: any ByteSource) throws {
        guard let archive = archive_read_new() else { fatalError("libarchive: out of memory") }
        self.archive = archive
        blocks = WholeBlocks(source)
        input = ArchiveInput(blocks, bufferSize: 256 * 1024)
        archive_read_support_format_tar(archive)
        // A layer of no bytes at all is an empty tree.
        archive_read_support_format_empty(archive)
        try check(input.open(archive))
    }

    deinit { archive_read_free(archive) }

    /// The next member; nil at the end. Data of the last one that was not read is skipped.
    public func next() throws -> TarEntry? {
        var pointer: OpaquePointer?
        let code = archive_read_next_header(archive, &pointer)
        if code == ARCHIVE_EOF {
            guard !blocks.added || padding.map({ blocks.count >= headerPosition - $0 }) == true else { throw ArchiveError.truncated }
            return nil
        }
        // What is no header was cut off in one.
        if blocks.added, code != ARCHIVE_OK, code != ARCHIVE_WARN, input.error == nil { throw ArchiveError.truncated }
        try check(code)
        entry = pointer
        let result = try convert(pointer!)
        padding = archive_entry_sparse_count(pointer) > 0 ? nil : Int((512 - result.size % 512) % 512)
        return result
    }

    /// Where the headers of the last member asked for begin, in bytes; at the end of the archive, where they would.
    public var headerPosition: Int { Int(archive_read_header_position(archive)) }

    /// Passes the data of the current member on, holes of sparse files as zeros.
    public func data(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard let entry else { return }
        let size = archive_entry_size(entry)
        var position: Int64 = 0
        var pointer: UnsafeRawPointer?
        var count = 0
        var offset: Int64 = 0
        while true {
            let code = archive_read_data_block(archive, &pointer, &count, &offset)
            if code == ARCHIVE_EOF { break }
            try check(code)
            if offset > position { try zeros(min(offset, size) - position, body) }
            if count > 0 { try body(UnsafeRawBufferPointer(start: pointer, count: count)) }
            position = offset + Int64(count)
        }
        if position < size { try zeros(size - position, body) }
        self.entry = nil
    }

    private func zeros(_ count: Int64, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard count > 0 else { return }
        let block = [UInt8](repeating: 0, count: Int(min(count, 65536)))
        try block.withUnsafeBytes { bytes in
            var rest = count
            while rest > 0 {
                try body(UnsafeRawBufferPointer(rebasing: bytes[..<Int(min(rest, Int64(bytes.count)))]))
                rest -= Int64(min(rest, Int64(bytes.count)))
            }
        }
    }

    private func check(_ code: Int32) throws {
        guard code != ARCHIVE_OK else { return }
        if let error = input.error { throw error }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
        // In the C locale every name outside ASCII brings this warning; its bytes are kept.
        if code == ARCHIVE_WARN, text.contains("can't be converted") { return }
        if text.contains("runcated") { throw ArchiveError.truncated }
        throw ArchiveError.badArchive(reason: text)
    }

    private func convert(_ entry: OpaquePointer) throws -> TarEntry {
        let path = bytes(archive_entry_pathname(entry))
        var result = TarEntry(path: path, kind: .file, mode: UInt32(archive_entry_perm(entry)) & 0o7777)
        if let target = archive_entry_hardlink(entry) {
            result.kind = .hardLink
            result.linkTarget = bytes(target)
        } else {
            switch mode_t(archive_entry_filetype(entry)) {
            case S_IFREG: result.size = archive_entry_size(entry)
            case S_IFDIR: result.kind = .directory
            case S_IFLNK:
                result.kind = .symbolicLink
                result.linkTarget = bytes(archive_entry_symlink(entry))
            case S_IFCHR: result.kind = .characterDevice
            case S_IFBLK: result.kind = .blockDevice
            case S_IFIFO: result.kind = .fifo
            default: throw ArchiveError.badEntry(name: path, reason: "is of a type that no filesystem has")
            }
        }
        if result.kind == .characterDevice || result.kind == .blockDevice {
            result.deviceMajor = UInt32(truncatingIfNeeded: archive_entry_rdevmajor(entry))
            result.deviceMinor = UInt32(truncatingIfNeeded: archive_entry_rdevminor(entry))
        }
        result.uid = archive_entry_uid(entry)
        result.gid = archive_entry_gid(entry)
        result.userName = bytes(archive_entry_uname(entry))
        result.groupName = bytes(archive_entry_gname(entry))
        (result.mtime, result.mtimeNanoseconds) = Self.time(of: entry)
        if archive_entry_xattr_reset(entry) > 0 { result.xattrs = xattrs(entry) }
        return result
    }

    /// An entry's time in seconds since 1970 and nanoseconds on top.
    ///
    /// libarchive 3.6 reads `-1.25` of a pax header as -1 s and 0.25 s on top. What is between -1 and 0 it reads as a time after
    /// 1970, which nobody can mend.
    static func time(of entry: OpaquePointer) -> (seconds: Int64, nanoseconds: Int32) {
        let (seconds, nanoseconds) = (Int64(archive_entry_mtime(entry)), Int32(archive_entry_mtime_nsec(entry)))
        return misreadsFractions && seconds < 0 && nanoseconds > 0 ? (seconds - 1, 1_000_000_000 - nanoseconds) : (seconds, nanoseconds)
    }

    /// Whether this libarchive has that fault: it is shown an entry of -1.25 s.
    private static let misreadsFractions: Bool = {
        final class Memory: ByteSink, ByteSource {
            var bytes: [UInt8] = []
            func write(_ new: UnsafeRawBufferPointer) { bytes += new }
            func finish() {}
            func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
                defer { bytes = [] }
                buffer.copyBytes(from: bytes)
                return bytes.count
            }
        }
        let memory = Memory()
        let writer = TarWriter(memory)
        try? writer.header(TarEntry(path: [UInt8(ascii: "x")], kind: .file, mode: 0, mtime: -2, mtimeNanoseconds: 750_000_000))
        try? writer.finish()
        guard let archive = archive_read_new() else { return false }
        defer { archive_read_free(archive) }
        archive_read_support_format_tar(archive)
        let input = ArchiveInput(memory, bufferSize: 64 * 1024)
        var entry: OpaquePointer?
        guard input.open(archive) == ARCHIVE_OK, archive_read_next_header(archive, &entry) == ARCHIVE_OK, let entry else { return false }
        return archive_entry_mtime(entry) == -1
    }()

    private func xattrs(_ entry: OpaquePointer) -> [ExtendedAttribute] {
        var result: [ExtendedAttribute] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK {
            result.append(ExtendedAttribute(name: bytes(name), value: Array(UnsafeRawBufferPointer(start: value, count: size))))
        }
        return result.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    private func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
        guard let text else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}

/// Fills the last block of a tar up with zeros. Some tools (umoci insert) end where the last file's data ends, and all readers
/// but libarchive take that.
private final class WholeBlocks: ByteSource {
    private let source: any ByteSource
    /// Bytes that the source had.
    private(set) var count = 0
    /// Whether its last block was filled up.
    private(set) var added = false

    init(_ source: any ByteSource) { self.source = source }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let got = added ? 0 : try source.read(into: buffer)
        count += got
        guard got == 0, !added, count % 512 > 0, buffer.count >= 512 else { return got }
        added = true
        let missing = 512 - count % 512
        buffer.copyBytes(from: repeatElement(0, count: missing))
        return missing
    }

    func skip(_ wanted: Int) -> Int {
        let skipped = source.skip(wanted)
        count += skipped
        return skipped
    }
}
