import CLinux
import Glibc

extension Directory {
    /// Gives all that is in this directory, and itself, to users and groups of other numbers: of those below `count` to as many from `first` on.
    /// What belongs to others stays as it is, and so does what a call that was ended before it was done has changed. Modes stay, and so do
    /// capabilities of programs, which then are those of a user namespace with `first` as its root. No link is followed, and no file system left.
    /// - Throws: `FileError`
    public func shiftOwners(below count: UInt32, to first: UInt32) throws(FileError) {
        guard let device = try status(".")?.st_dev else { return }
        for name in try entries() {
            let status = try status(entry: name)
            guard status.st_dev == device else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try directory(entry: name).shiftOwners(below: count, to: first)
            case S_IFREG: try shift(status, of: entry(name, O_RDONLY | O_NOCTTY), below: count, to: first)
            default:
                guard let (user, group) = Self.shifted(status, below: count, to: first) else { continue }
                guard fchownat(descriptor, name, user, group, AT_SYMLINK_NOFOLLOW) == 0 else { throw FileError("set the owner of what is in", path) }
            }
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
        try shift(status, of: OpenFile(descriptor: dup(descriptor), path: path), below: count, to: first)
    }

    private static func shifted(_ status: stat, below count: UInt32, to first: UInt32) -> (user: uid_t, group: gid_t)? {
        guard status.st_uid < count || status.st_gid < count else { return nil }
        func shifted(_ number: UInt32) -> UInt32 { number < count ? number + first : number }
        return (shifted(status.st_uid), shifted(status.st_gid))
    }

    private func shift(_ status: stat, of file: OpenFile, below count: UInt32, to first: UInt32) throws(FileError) {
        guard let (user, group) = Self.shifted(status, below: count, to: first) else { return }
        // A change of owner takes away capabilities and the set-user-ID bit.
        let capability = FileCapability(of: file)
        guard fchown(file.descriptor, user, group) == 0, fchmod(file.descriptor, status.st_mode & 0o7777) == 0 else {
            throw FileError("set the owner of", file.path)
        }
        try capability?.set(file, root: first)
    }
}

/// What the extended attribute `security.capability` says (linux/capability.h, `struct vfs_ns_cap_data`).
public struct FileCapability {
    private static let name = "security.capability"
    /// Flags, and the sets of capabilities: all but the version, and the root that version 3 has.
    private let flags: [UInt8]
    private let sets: [UInt8]

    /// - Parameter bytes: the attribute, of version 2 or 3.
    public init?(_ bytes: [UInt8]) {
        guard bytes.count == 20 && bytes[3] == 2 || bytes.count == 24 && bytes[3] == 3 else { return nil }
        (flags, sets) = (Array(bytes[0..<3]), Array(bytes[4..<20]))
    }

    init?(of file: OpenFile) {
        var bytes = [UInt8](repeating: 0, count: 24)
        let count = fgetxattr(file.descriptor, Self.name, &bytes, bytes.count)
        guard count > 0 else { return nil }
        self.init(Array(bytes[..<count]))
    }

    /// As it is on files of the host's.
    public var plain: [UInt8] { flags + [2] + sets }

    func set(_ file: OpenFile, root: UInt32) throws(FileError) {
        let bytes = flags + [3] + sets + withUnsafeBytes(of: root.littleEndian) { Array($0) }
        guard fsetxattr(file.descriptor, Self.name, bytes, bytes.count, 0) == 0 else { throw FileError("set the capabilities of", file.path) }
    }
}
