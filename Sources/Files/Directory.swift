import CLinux
import Glibc

/// An open directory. All names are resolved inside it, through its descriptor; its path is for messages only.
public final class Directory: DescriptorOwner {
    public let descriptor: Int32
    public let path: String

    public init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    public static func open(_ path: String) throws(FileError) -> Directory {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open directory", path) }
        return Directory(descriptor: descriptor, path: path)
    }

    /// Opens the directory that a path's last component lies in, which may itself be missing.
    public static func holding(_ path: String) throws(FileError) -> (directory: Directory, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (try open("."), path) }
        return (try open(slash == path.startIndex ? "/" : String(path[..<slash])), String(path[path.index(after: slash)...]))
    }

    /// Opens a directory by path and makes it, and its parents, first where missing.
    public static func make(_ path: String, mode: mode_t = 0o755) throws(FileError) -> Directory {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor >= 0 { return Directory(descriptor: descriptor, path: path) }
        let absolute = path.hasPrefix("/")
        return try Directory.open(absolute ? "/" : ".").make(path, mode: mode)
    }

    deinit { close(descriptor) }

    func at(_ name: String) -> String { path == "/" ? "/\(name)" : "\(path)/\(name)" }

    /// Opens a sub-directory given by one or more components, none of which may be a symbolic link.
    public func directory(_ name: String) throws(FileError) -> Directory {
        var current = self
        for component in name.split(separator: "/") {
            let descriptor = openat(current.descriptor, String(component), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { throw FileError("open directory", at(name)) }
            current = Directory(descriptor: descriptor, path: current.at(String(component)))
        }
        return current
    }

    /// Like ``directory(_:)``, making what is missing. An existing directory keeps its mode.
    public func make(_ name: String, mode: mode_t = 0o755) throws(FileError) -> Directory {
        var current = self
        for component in name.split(separator: "/") {
            let text = String(component)
            // Mostly it is there.
            var descriptor = openat(current.descriptor, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if descriptor < 0, errno == ENOENT {
                if mkdirat(current.descriptor, text, mode) != 0, errno != EEXIST { throw FileError("make directory", current.at(text)) }
                descriptor = openat(current.descriptor, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            }
            guard descriptor >= 0 else { throw FileError("open directory", current.at(text)) }
            current = Directory(descriptor: descriptor, path: current.at(text))
        }
        return current
    }

    /// Makes a sub-directory that must not be there yet.
    public func makeNew(_ name: String, mode: mode_t = 0o755) throws(FileError) {
        guard mkdirat(descriptor, name, mode) == 0 else { throw FileError("make directory", at(name)) }
    }

    public func file(_ name: String, _ flags: Int32 = O_RDONLY, mode: mode_t = 0o644) throws(FileError) -> OpenFile {
        let descriptor = openat(self.descriptor, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw FileError(flags & O_CREAT != 0 ? "create" : "open", at(name)) }
        return OpenFile(descriptor: descriptor, path: at(name))
    }

    /// Opens a path as a process would whose root this directory is: links lead nowhere else, and none of the kernel's magic
    /// ones is followed (openat2(2), `RESOLVE_IN_ROOT`). For trees that strangers made.
    public func inside(_ path: String, _ flags: Int32 = O_RDONLY | O_NONBLOCK | O_NOCTTY) throws(FileError) -> OpenFile {
        let descriptor = system_open_inside(self.descriptor, path, flags)
        guard descriptor >= 0 else { throw FileError("open", at(path)) }
        return OpenFile(descriptor: descriptor, path: at(path))
    }

    public func exists(_ name: String) -> Bool { faccessat(descriptor, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 }

    /// `O_TMPFILE`, a macro that Swift can't read.
    private static let temporary: Int32 = 0o20000000 | O_DIRECTORY

    /// nil on file systems that know no such files (NFS, 9p).
    func withoutName() throws(FileError) -> OpenFile? {
        let unnamed = openat(descriptor, ".", O_RDWR | Self.temporary | O_CLOEXEC, 0o600)
        if unnamed >= 0 { return OpenFile(descriptor: unnamed, path: "a temporary file in \(path)") }
        guard errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL else { throw FileError("create a temporary file in", path) }
        return nil
    }

    /// A new file for reading and writing that has no name, so that nothing is left of it whatever happens.
    public func unnamedFile() throws(FileError) -> OpenFile {
        if let unnamed = try withoutName() { return unnamed }
        // File systems without O_TMPFILE (NFS, 9p): a name that lives for an instant.
        let name = ".tmp-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        let file = try self.file(name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        try remove(name)
        return file
    }

    /// Gives an open file that nobody changes any more one more name; where the file system can't, a copy of it has that name.
    public func link(_ file: OpenFile, as name: String) throws(FileError) {
        if linkat(AT_FDCWD, "/proc/self/fd/\(file.descriptor)", descriptor, name, AT_SYMLINK_FOLLOW) == 0 { return }
        try self.file(name, O_WRONLY | O_CREAT | O_TRUNC).write(contentsOf: file)
    }

    /// Status of an entry, links not followed; nil where there is none.
    public func status(_ name: String) throws(FileError) -> stat? {
        var result = stat()
        if fstatat(descriptor, name, &result, AT_SYMLINK_NOFOLLOW) == 0 { return result }
        if errno == ENOENT || errno == ENOTDIR { return nil }
        throw FileError("stat", at(name))
    }

    /// Names of all entries, sorted by their bytes, without `.` and `..`.
    public func names() throws(FileError) -> [String] { try entries().map(Self.text) }

    /// The same, of names that may be no text.
    public func byteNames() throws(FileError) -> [[UInt8]] { try entries().map { $0.dropLast().map { UInt8(bitPattern: $0) } } }

    /// What is shown of a name.
    private static func text(_ name: [CChar]) -> String { String(decoding: name.dropLast().lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self) }

    /// Names of all entries as the kernel has them, sorted by their bytes, each with the zero byte at its end: those that strangers gave
    /// need not be text.
    public func entries() throws(FileError) -> [[CChar]] {
        // A descriptor of its own, so that the position of this one stays free.
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else { throw FileError("list", path) }
        defer { closedir(stream) }
        var result: [[CChar]] = []
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1)) }
            }
            if name != [dot, 0], name != [dot, dot, 0] { result.append(name) }
        }
        return result.sorted { $0.lexicographicallyPrecedes($1) { UInt8(bitPattern: $0) < UInt8(bitPattern: $1) } }
    }

    /// Opens an entry as the kernel names it, unless it is a link.
    /// - Parameter flags: of open(2).
    public func entry(_ name: [CChar], _ flags: Int32, mode: mode_t = 0) throws(FileError) -> OpenFile {
        let descriptor = openat(self.descriptor, name, flags | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw FileError("open", at(Self.text(name))) }
        return OpenFile(descriptor: descriptor, path: at(Self.text(name)))
    }

    /// Opens a sub-directory as the kernel names it.
    public func directory(entry name: [CChar]) throws(FileError) -> Directory {
        let descriptor = openat(self.descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open directory", at(Self.text(name))) }
        return Directory(descriptor: descriptor, path: at(Self.text(name)))
    }

    /// Status of an entry as the kernel names it, links not followed.
    public func status(entry name: [CChar]) throws(FileError) -> stat {
        var result = stat()
        guard fstatat(descriptor, name, &result, AT_SYMLINK_NOFOLLOW) == 0 else { throw FileError("stat", at(Self.text(name))) }
        return result
    }

    public func remove(_ name: String) throws(FileError) {
        guard unlinkat(descriptor, name, 0) == 0 || errno == ENOENT else { throw FileError("remove", at(name)) }
    }

    public func rename(_ name: String, to target: Directory, as newName: String) throws(FileError) {
        guard renameat(descriptor, name, target.descriptor, newName) == 0 else { throw FileError("rename", at(name)) }
    }

    /// Takes a `flock(2)` lock, which the kernel drops when the last copy of the descriptor is closed.
    /// - Returns: false where `wait` is false and someone else holds it.
    public func lock(exclusive: Bool = true, wait: Bool) throws(FileError) -> Bool {
        try lockDescriptor(descriptor, path: path, exclusive: exclusive, wait: wait)
    }

    /// Where it lies now, as the kernel has it.
    public func absolutePath() throws(FileError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count - 1)
        guard count > 0 else { throw FileError("find", path) }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public func sync() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    /// Writes a small file so that readers see the old bytes or the new ones: where it is to be durable, even after a crash of the
    /// machine, which takes milliseconds.
    public func write(_ bytes: [UInt8], atomicallyTo name: String, mode: mode_t = 0o644, durably: Bool = true) throws(FileError) {
        let temporary = PendingFile.newName()
        do throws(FileError) {
            let file = try self.file(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
            try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in try file.write(UnsafeRawBufferPointer(buffer)) }
            if durably { try file.sync() }
            try rename(temporary, to: self, as: name)
            if durably { try sync() }
        } catch {
            unlinkat(descriptor, temporary, 0)
            throw error
        }
    }

    /// Removes an entry and all below it. Symbolic links are removed, never followed; a missing entry is no error.
    public func removeTree(_ name: String) throws(FileError) { try removeTree(entry: name.utf8CString.map { $0 }) }

    private func removeTree(entry name: [CChar]) throws(FileError) {
        if unlinkat(descriptor, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw FileError("remove", at(Self.text(name))) }
        let child = try directory(entry: name)
        // A directory without write or search permission for its owner can still be emptied by that owner.
        fchmod(child.descriptor, 0o700)
        for entry in try child.entries() { try child.removeTree(entry: entry) }
        guard unlinkat(descriptor, name, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw FileError("remove", at(Self.text(name))) }
    }
}
