import Archive
import CLinux
import Files
import Glibc
import Hashing
import Listing

/// Makes entries of listings out of members of archives, or of what lies in a directory.
struct TreeLister {
    private let writer: ListingWriter

    init(_ writer: ListingWriter) { self.writer = writer }

    // MARK: Archives

    /// An archive of a tree, whose paths begin at its root.
    func list(archive: any ByteSource) throws {
        let reader = try TarReader(Decompressor.open(archive))
        while let entry = try reader.next() { try add(entry, reader) }
    }

    func add(_ entry: TarEntry, _ reader: (any MemberReader)?) throws {
        let path = Self.canonical(entry.path)
        if entry.kind == .hardLink { return writer.addLink(path, to: Self.canonical(entry.linkTarget)) }
        let kind: ListedEntry.Kind =
            switch entry.kind {
            case .file, .hardLink: .file
            case .directory: .directory
            case .symbolicLink: .symbolicLink
            case .characterDevice: .characterDevice
            case .blockDevice: .blockDevice
            case .fifo: .fifo
            }
        var listed = ListedEntry(
            path: path, kind: kind, mode: entry.mode, uid: entry.uid, gid: entry.gid, seconds: entry.mtime, nanoseconds: entry.mtimeNanoseconds)
        listed.target = entry.linkTarget
        (listed.major, listed.minor) = (entry.deviceMajor, entry.deviceMinor)
        listed.attributes = entry.xattrs.map { .init(name: $0.name, value: $0.value) }
        if kind == .file {
            let hasher = StreamHasher(.sha256)
            listed.size = entry.size
            if entry.size > 0 { try reader?.data { hasher.update($0) } }
            listed.sha256 = Array(hasher.finish().hex.utf8)
        }
        try writer.add(listed)
    }

    /// Without `.`, empty components and slashes at the ends.
    private static func canonical(_ path: [UInt8]) -> [UInt8] {
        Array(path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }.joined(separator: [UInt8(ascii: "/")]))
    }

    // MARK: Directories

    /// All below a directory, file systems mounted there too. No link is followed.
    func list(directory root: Directory) throws {
        var status = stat()
        guard fstat(root.descriptor, &status) == 0 else { throw FileError("stat", root.path) }
        try writer.add(Self.entry([], status))
        var firstNames: [Inode: [UInt8]] = [:]
        // Paths, not open directories: a tree may be deeper than there are descriptors.
        var pending: [[UInt8]] = [[]]
        while let path = pending.popLast() {
            let directory = try path.isEmpty ? root : Self.open(path, in: root)
            for name in try directory.byteNames() {
                let whole = path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
                guard withText(name, { fstatat(directory.descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
                    // Removed since the names were read.
                    if errno == ENOENT { throw ListingError.changed(path: whole) }
                    throw FileError("stat", Self.message(root, whole))
                }
                let isDirectory = status.st_mode & S_IFMT == S_IFDIR
                if !isDirectory, status.st_nlink > 1 {
                    let inode = Inode(device: status.st_dev, number: status.st_ino)
                    if let first = firstNames[inode] {
                        writer.addLink(whole, to: first)
                        continue
                    }
                    firstNames[inode] = whole
                }
                try writer.add(whole, name, status, in: directory, Self.message(root, whole))
                if isDirectory { pending.append(whole) }
            }
        }
    }

    private struct Inode: Hashable {
        var device: dev_t
        var number: ino_t
    }

    private static func message(_ root: Directory, _ path: [UInt8]) -> String { "\(root.path)/\(String(decoding: path, as: UTF8.self))" }

    private static func open(_ path: [UInt8], in root: Directory) throws -> Directory {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        let descriptor = withText(path) { system_open_inside(root.descriptor, $0, flags) }
        guard descriptor >= 0 else { throw FileError("open directory", message(root, path)) }
        return Directory(descriptor: descriptor, path: message(root, path))
    }

    fileprivate static func entry(_ path: [UInt8], _ status: stat) -> ListedEntry {
        let kind: ListedEntry.Kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            default: .file
            }
        var entry = ListedEntry(
            path: path, kind: kind, mode: status.st_mode & 0o7777, uid: Int64(status.st_uid), gid: Int64(status.st_gid),
            seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int32(status.st_mtim.tv_nsec))
        if kind == .characterDevice || kind == .blockDevice {
            (entry.major, entry.minor) = (system_major(UInt64(status.st_rdev)), system_minor(UInt64(status.st_rdev)))
        }
        return entry
    }
}

extension ListingWriter {
    fileprivate func add(_ path: [UInt8], _ name: [UInt8], _ status: stat, in directory: Directory, _ message: String) throws {
        var entry = TreeLister.entry(path, status)
        switch entry.kind {
        case .file:
            let descriptor = withText(name) { openat(directory.descriptor, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
            guard descriptor >= 0 else { throw FileError("open", message) }
            let hasher = StreamHasher(.sha256)
            try FileSource(OpenFile(descriptor: descriptor, path: message)).pass {
                hasher.update($0)
                entry.size += Int64($0.count)
            }
            entry.sha256 = Array(hasher.finish().hex.utf8)
        case .symbolicLink:
            var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = buffer.withUnsafeMutableBytes { bytes in
                withText(name) { readlinkat(directory.descriptor, $0, bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count) }
            }
            guard count >= 0 else { throw FileError("read the link", message) }
            entry.target = Array(buffer[..<count])
        default: break
        }
        entry.attributes = try attributes(name, in: directory, message)
        try add(entry)
    }

    /// Extended attributes, by the only calls that take links as they are and no descriptor.
    private func attributes(_ name: [UInt8], in directory: Directory, _ message: String) throws -> [ListedEntry.Attribute] {
        try withText(Array("/proc/self/fd/\(directory.descriptor)/".utf8) + name) { path in
            var names = [UInt8](repeating: 0, count: 4096)
            var count = names.withUnsafeMutableBytes { llistxattr(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
            if count < 0, errno == ERANGE {
                names = [UInt8](repeating: 0, count: 64 << 10)
                count = names.withUnsafeMutableBytes { llistxattr(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
            }
            guard count >= 0 || errno == ENOTSUP else { throw FileError("read the attributes of", message) }
            guard count > 0 else { return [] }
            var value = [UInt8](repeating: 0, count: 64 << 10)
            return try names[..<count].split(separator: 0).map { name in
                let size = value.withUnsafeMutableBytes { bytes in withText(Array(name)) { lgetxattr(path, $0, bytes.baseAddress!, bytes.count) } }
                guard size >= 0 else { throw FileError("read the attributes of", message) }
                return ListedEntry.Attribute(name: Array(name), value: Array(value[..<size]))
            }.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        }
    }
}

private func withText<T>(_ bytes: [UInt8], _ body: (UnsafePointer<CChar>) throws -> T) rethrows -> T {
    try (bytes + [0]).withUnsafeBytes { try body($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
}
