import ACI
import Archive
import CLinux
import Files
import Glibc

/// Writes a tree on disk as an ACI, of the same tree the same bytes.
///
/// Owners, modes, times, links, devices and those extended attributes are kept that the renderer keeps; sockets can't stand in an
/// archive and are left out.
public final class TreeArchiver {
    private let writer: ACIWriter
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)
    /// Files with several names, by their first name in the archive.
    private var seen: [Inode: [UInt8]] = [:]

    private struct Inode: Hashable {
        var device: dev_t
        var number: ino_t
    }

    /// Who is root in the archive.
    private let first: UInt32

    private init(_ writer: ACIWriter, _ first: UInt32) { (self.writer, self.first) = (writer, first) }
    deinit { buffer.deallocate() }

    /// - Parameters:
    ///   - tree: the rootfs, which nobody changes meanwhile.
    ///   - manifest: the image's, as it is to stand in the archive.
    ///   - first: the user who is root in the archive, and those after it the others; of groups the same.
    /// - Throws: `FileError`, and errors of the sink.
    public static func archive(_ tree: Directory, manifest: [UInt8], first: UInt32 = 0, to sink: any ByteSink) throws {
        let writer = try ACIWriter(sink, manifest: manifest)
        let archiver = TreeArchiver(writer, first)
        let here: [CChar] = [CChar(bitPattern: UInt8(ascii: ".")), 0]
        try writer.write(archiver.entry([], tree.status(entry: here), attributesOf: tree), nil)
        try archiver.contents(of: tree, [])
        try writer.finish()
    }

    /// - Parameter path: of the directory, with a slash at its end; empty for the root.
    private func contents(of directory: Directory, _ path: [UInt8]) throws {
        for name in try directory.entries() {
            let status = try directory.status(entry: name)
            let own = path + name.dropLast().map { UInt8(bitPattern: $0) }
            let inode = Inode(device: status.st_dev, number: status.st_ino)
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                let child = try directory.directory(entry: name)
                try writer.write(entry(own, status, attributesOf: child), nil)
                try contents(of: child, own + [UInt8(ascii: "/")])
            case S_IFSOCK: continue
            case _ where status.st_nlink > 1 && seen[inode] != nil:
                var link = TarEntry(path: own, kind: .hardLink, mode: status.st_mode & 0o7777)
                link.linkTarget = seen[inode] ?? []
                try writer.write(link, nil)
            case S_IFREG:
                if status.st_nlink > 1 { seen[inode] = own }
                let file = try directory.entry(name, O_RDONLY | O_NOCTTY)
                try writer.write(entry(own, status, attributesOf: file), FileMember(file, buffer))
            default:
                if status.st_nlink > 1 { seen[inode] = own }
                var entry = entry(own, status, attributesOf: nil)
                if entry.kind == .symbolicLink {
                    let count = readlinkat(directory.descriptor, name, buffer.baseAddress!, buffer.count)
                    guard count >= 0 else { throw FileError("read the link", String(decoding: own, as: UTF8.self)) }
                    entry.linkTarget = Array(buffer[..<count])
                }
                try writer.write(entry, nil)
            }
        }
    }

    private func entry(_ path: [UInt8], _ status: stat, attributesOf owner: (any DescriptorOwner)?) -> TarEntry {
        let kind: TarEntry.Kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            case S_IFCHR: .characterDevice
            case S_IFBLK: .blockDevice
            case S_IFIFO: .fifo
            default: .file
            }
        func inside(_ number: UInt32) -> Int64 { Int64(number < first ? number : number - first) }
        var entry = TarEntry(
            path: path, kind: kind, mode: kind == .symbolicLink ? 0o777 : status.st_mode & 0o7777, uid: inside(status.st_uid), gid: inside(status.st_gid),
            mtime: Int64(status.st_mtim.tv_sec), mtimeNanoseconds: Int32(status.st_mtim.tv_nsec), size: kind == .file ? Int64(status.st_size) : 0)
        if kind == .characterDevice || kind == .blockDevice {
            (entry.deviceMajor, entry.deviceMinor) = (system_major(UInt64(status.st_rdev)), system_minor(UInt64(status.st_rdev)))
        }
        if let owner { entry.xattrs = attributes(owner) }
        return entry
    }

    /// Those that carry meaning inside an image, by name.
    private func attributes(_ owner: any DescriptorOwner) -> [ExtendedAttribute] {
        let count = flistxattr(owner.descriptor, buffer.baseAddress!, buffer.count)
        let names = count <= 0 ? [] : buffer[..<count].split(separator: 0).map { Array($0) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }.compactMap { name in
            guard name.elementsEqual("security.capability".utf8) || name.starts(with: "user.".utf8) else { return nil }
            let size = (name + [0]).withUnsafeBytes {
                fgetxattr(owner.descriptor, $0.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.baseAddress!, buffer.count)
            }
            if size < 0 { return nil }
            // Those of a user namespace mean nothing elsewhere.
            let value = Array(buffer[..<size])
            return ExtendedAttribute(name: name, value: name.first == UInt8(ascii: "s") ? FileCapability(value)?.plain ?? value : value)
        }
    }
}

/// A file's data, all of it.
private final class FileMember: MemberReader {
    private let file: OpenFile
    private let buffer: UnsafeMutableRawBufferPointer
    let headerPosition = 0

    init(_ file: OpenFile, _ buffer: UnsafeMutableRawBufferPointer) { (self.file, self.buffer) = (file, buffer) }

    func next() -> TarEntry? { nil }

    func data(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        while case let count = try file.read(into: buffer), count > 0 { try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
    }
}
