import ACI
import Archive
import CLinux
import Diagnostics
import Files
import Glibc
import Squash

/// A tree that isn't what was rendered.
public struct ChangedTree: DiagnosedError {
    /// Where it is, for messages.
    public var tree: String
    /// Path and what is wrong there, in the order of finding.
    public var differences: [String]

    public var diagnosis: Diagnosis {
        let more = differences.count > 5 ? "; and \(differences.count - 5) more" : ""
        return Diagnosis(
            "\(tree) is not as it was rendered: " + differences.prefix(5).joined(separator: "; ") + more, hint: "d2a image rm removes it, with its image")
    }
}

/// Compares a rendered tree with the images that it was rendered from, which are the measure: a hash that lay beside the tree could
/// be changed with it.
///
/// All is compared but the times of directories and what is above `rootfs`.
public final class TreeVerifier {
    private var differences: [String] = []
    private var seen: Set<[UInt8]> = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 * 1024, alignment: 16)

    private let owners: FileOwners

    private init(_ owners: FileOwners) { self.owners = owners }
    deinit { buffer.deallocate() }

    /// Looks at `rootfs` in the working directory.
    /// - Parameter images: as ``Renderer/render(_:)`` takes them.
    /// - Throws: ``ChangedTree``, and errors of reading the images.
    public static func verify(_ images: [(file: OpenFile, span: Int)], tree: String, owners: FileOwners) throws {
        let verifier = TreeVerifier(owners)
        var squasher = Squasher(ImageChain(images))
        try squasher.plan()
        try squasher.write { entry, reader, _ in try verifier.compare(ACIWriter.member(entry), reader) }
        try verifier.lookForMore(Directory.open("rootfs"), Array("rootfs".utf8))
        guard verifier.differences.isEmpty else { throw ChangedTree(tree: tree, differences: verifier.differences) }
    }

    private func note(_ path: [UInt8], _ what: String) { differences.append("\(String(decoding: path, as: UTF8.self)) \(what)") }

    private func compare(_ entry: TarEntry, _ reader: (any MemberReader)?) throws {
        let path = entry.path.last == UInt8(ascii: "/") ? entry.path.dropLast() : entry.path
        if !owners.makeDevices, entry.kind == .characterDevice || entry.kind == .blockDevice { return }
        seen.insert(path)
        var status = stat()
        guard (path + [0]).withUnsafeBytes({ lstat($0.baseAddress!.assumingMemoryBound(to: CChar.self), &status) }) == 0 else {
            note(path, "is missing")
            try reader?.data { _ in }
            return
        }
        if entry.kind == .hardLink {
            var target = stat()
            let found = (entry.linkTarget + [0]).withUnsafeBytes { lstat($0.baseAddress!.assumingMemoryBound(to: CChar.self), &target) } == 0
            if !found || target.st_ino != status.st_ino { note(path, "is no hard link any more") }
            return
        }
        let kind: mode_t =
            switch entry.kind {
            case .file, .hardLink: S_IFREG
            case .directory: S_IFDIR
            case .symbolicLink: S_IFLNK
            case .characterDevice: S_IFCHR
            case .blockDevice: S_IFBLK
            case .fifo: S_IFIFO
            }
        guard status.st_mode & S_IFMT == kind else {
            note(path, "is of another kind")
            try reader?.data { _ in }
            return
        }
        if entry.kind != .symbolicLink, status.st_mode & 0o7777 != mode_t(entry.mode) { note(path, "has another mode") }
        if owners.owner(entry.uid, entry.gid).map({ $0 != (Int64(status.st_uid), Int64(status.st_gid)) }) ?? true { note(path, "has another owner") }
        if entry.kind != .directory, Int64(status.st_mtim.tv_sec) != entry.mtime || Int32(status.st_mtim.tv_nsec) != entry.mtimeNanoseconds {
            note(path, "has another time")
        }
        if kind == S_IFCHR || kind == S_IFBLK,
            system_major(UInt64(status.st_rdev)) != entry.deviceMajor || system_minor(UInt64(status.st_rdev)) != entry.deviceMinor
        {
            note(path, "is another device")
        }
        if entry.kind == .symbolicLink {
            let count = (path + [0]).withUnsafeBytes { readlink($0.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.baseAddress!, buffer.count) }
            if count < 0 || !buffer[..<count].elementsEqual(entry.linkTarget) { note(path, "leads elsewhere") }
        }
        if entry.kind == .file { try compareData(entry, path, Int64(status.st_size), reader) }
        compareAttributes(entry, path)
    }

    private func compareData(_ entry: TarEntry, _ path: [UInt8], _ size: Int64, _ reader: (any MemberReader)?) throws {
        var same = size == entry.size
        let descriptor = (path + [0]).withUnsafeBytes { open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_RDONLY | O_NOFOLLOW | O_CLOEXEC) }
        guard descriptor >= 0 else { throw FileError("open", String(decoding: path, as: UTF8.self)) }
        let file = OpenFile(descriptor: descriptor, path: String(decoding: path, as: UTF8.self))
        if entry.size > 0 {
            try reader?.data { expected in
                var rest = expected
                while same, rest.count > 0 {
                    let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(rest.count, buffer.count)]))
                    same = count > 0 && memcmp(buffer.baseAddress!, rest.baseAddress!, count) == 0
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
            }
        }
        if !same { note(path, "has other contents") }
    }

    /// Of extended attributes those that the renderer keeps.
    private func compareAttributes(_ entry: TarEntry, _ path: [UInt8]) {
        func isKept(_ name: [UInt8]) -> Bool { name.elementsEqual("security.capability".utf8) || name.starts(with: "user.".utf8) }
        let name = path + [0]
        let count = name.withUnsafeBytes { llistxattr($0.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.baseAddress!, buffer.count) }
        let there = count <= 0 ? [] : buffer[..<count].split(separator: 0).map { Array($0) }.filter(isKept)
        let expected = entry.xattrs.filter { isKept($0.name) }
        var same = Set(there) == Set(expected.map(\.name))
        for attribute in expected where same {
            let size = name.withUnsafeBytes { path in
                (attribute.name + [0]).withUnsafeBytes { name in
                    lgetxattr(
                        path.baseAddress!.assumingMemoryBound(to: CChar.self), name.baseAddress!.assumingMemoryBound(to: CChar.self), buffer.baseAddress!,
                        buffer.count)
                }
            }
            same = size >= 0 && buffer[..<size].elementsEqual(attribute.value)
        }
        if !same { note(path, "has other extended attributes") }
    }

    private func lookForMore(_ directory: Directory, _ path: [UInt8]) throws {
        for name in try directory.names() {
            let child = path + [UInt8(ascii: "/")] + Array(name.utf8)
            if !seen.contains(child) {
                note(child, "was added")
            } else if let status = try directory.status(name), status.st_mode & S_IFMT == S_IFDIR {
                try lookForMore(directory.directory(name), child)
            }
        }
    }
}
