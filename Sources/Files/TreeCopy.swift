import CLinux
import Glibc

extension Directory {
    /// Copies all that is in this directory into another, which keeps its own owner and mode: contents, owners, modes, times,
    /// extended attributes, hard and symbolic links, devices. No link is followed, and no file system is left.
    public func copyContents(into target: Directory) throws(FileError) {
        var copy = TreeCopy(root: target)
        try copy.contents(of: self, into: target, [])
    }

    /// Gives this directory the owner, mode and times of another.
    public func adoptStatus(of other: Directory) throws(FileError) {
        var status = stat()
        guard fstat(other.descriptor, &status) == 0 else { throw FileError("stat", other.path) }
        try adopt(status)
    }

    fileprivate func adopt(_ status: stat) throws(FileError) {
        var times = [status.st_atim, status.st_mtim]
        guard fchown(descriptor, status.st_uid, status.st_gid) == 0, fchmod(descriptor, status.st_mode & 0o7777) == 0, futimens(descriptor, &times) == 0 else {
            throw FileError("set the owner of", path)
        }
    }
}

private struct TreeCopy {
    let root: Directory
    /// Files with several names, by their first name in the copy.
    var seen: [Inode: [CChar]] = [:]

    struct Inode: Hashable {
        var device: dev_t
        var number: ino_t
    }

    init(root: Directory) { self.root = root }

    /// - Parameter path: of the directory, with a slash at its end; empty for the first.
    mutating func contents(of source: Directory, into target: Directory, _ path: [CChar]) throws(FileError) {
        let device = try source.status(".")?.st_dev
        for name in try source.entries() {
            let status = try source.status(entry: name)
            if status.st_dev == device { try entry(name, status, source, target, path + name) }
        }
    }

    private mutating func entry(_ name: [CChar], _ status: stat, _ source: Directory, _ target: Directory, _ path: [CChar]) throws(FileError) {
        func failure(_ what: String, _ directory: Directory) -> FileError {
            FileError(what, directory.path + "/" + String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        let kind = status.st_mode & S_IFMT
        if kind == S_IFDIR {
            if mkdirat(target.descriptor, name, 0o700) != 0, errno != EEXIST { throw failure("make directory", target) }
            let (from, to) = (try source.directory(entry: name), try target.directory(entry: name))
            try contents(of: from, into: to, path.dropLast() + [CChar(bitPattern: UInt8(ascii: "/"))])
            system_copy_attributes(from.descriptor, to.descriptor)
            try to.adopt(status)
            return
        }
        let inode = Inode(device: status.st_dev, number: status.st_ino)
        if status.st_nlink > 1, let first = seen[inode] {
            guard linkat(root.descriptor, first, target.descriptor, name, 0) == 0 else { throw failure("link", target) }
            return
        }
        if status.st_nlink > 1 { seen[inode] = path }
        switch kind {
        case S_IFREG: try file(name, status, source, target)
        case S_IFLNK:
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            let count = readlinkat(source.descriptor, name, &buffer, buffer.count - 1)
            guard count >= 0, symlinkat(buffer, target.descriptor, name) == 0 else { throw failure("copy the link", source) }
        default:
            guard mknodat(target.descriptor, name, status.st_mode, status.st_rdev) == 0 else { throw failure("copy the device", source) }
        }
        if kind != S_IFREG {
            var times = [status.st_atim, status.st_mtim]
            guard fchownat(target.descriptor, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) == 0,
                kind == S_IFLNK || fchmodat(target.descriptor, name, status.st_mode & 0o7777, 0) == 0,
                utimensat(target.descriptor, name, &times, AT_SYMLINK_NOFOLLOW) == 0
            else { throw failure("set the owner of", target) }
        }
    }

    private func file(_ name: [CChar], _ status: stat, _ source: Directory, _ target: Directory) throws(FileError) {
        let from = try source.entry(name, O_RDONLY)
        let to = try target.entry(name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        var left = Int(status.st_size)
        while left > 0 {
            let count = system_copy_range(from.descriptor, to.descriptor, left)
            if count > 0 {
                left -= count
            } else if count == 0 {
                break
            } else if errno != EINTR {
                // File systems that can't copy by themselves.
                try to.write(contentsOf: from)
                break
            }
        }
        guard fchown(to.descriptor, status.st_uid, status.st_gid) == 0, fchmod(to.descriptor, status.st_mode & 0o7777) == 0 else {
            throw FileError("set the owner of", to.path)
        }
        // After the owner, whose change drops file capabilities.
        system_copy_attributes(from.descriptor, to.descriptor)
        var times = [status.st_atim, status.st_mtim]
        guard futimens(to.descriptor, &times) == 0 else { throw FileError("set the times of", to.path) }
    }
}
