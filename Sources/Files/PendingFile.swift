import CLinux
import Glibc

/// A file that is being written and gets its name when it is whole. Until then it has none; on file systems where that can't be
/// (NFS, 9p), one that shows whose it is, `.new-HOST-PID-RANDOM`, and which ``sweep(_:)`` knows.
public final class PendingFile: Sendable {
    /// For reading and writing.
    public let file: OpenFile
    private let directory: Directory
    /// nil where it has none.
    private let temporaryName: String?

    public convenience init(in directory: Directory) throws(FileError) { try self.init(in: directory, named: false) }

    /// - Parameter named: whether it has a name all the time, as where it must.
    init(in directory: Directory, named: Bool) throws(FileError) {
        self.directory = directory
        if !named, let file = try directory.withoutName() {
            (self.file, temporaryName) = (file, nil)
        } else {
            let name = Self.newName()
            file = try directory.file(name, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            temporaryName = name
        }
    }

    deinit { if let temporaryName { try? directory.remove(temporaryName) } }

    /// Gives the file its name, in one step; an older file of that name is replaced. Its mode is what a program's new files have.
    public func publish(as name: String) throws(FileError) {
        let mask = umask(0)
        umask(mask)
        fchmod(file.descriptor, 0o666 & ~mask)
        if let temporaryName { return try directory.rename(temporaryName, to: directory, as: name) }
        let temporary = Self.newName()
        guard linkat(AT_FDCWD, "/proc/self/fd/\(file.descriptor)", directory.descriptor, temporary, AT_SYMLINK_FOLLOW) == 0 else {
            throw FileError("create", directory.at(name))
        }
        do throws(FileError) { try directory.rename(temporary, to: directory, as: name) } catch {
            try? directory.remove(temporary)
            throw error
        }
    }

    /// A name that nobody else has, on no machine.
    static func newName() -> String { ".new-\(host)-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 36) }

    /// Where process IDs mean what they mean here: containers of one machine may share its name and have their own, and machines may share a name.
    static let host: String = {
        var system = utsname()
        uname(&system)
        let name = withUnsafePointer(to: &system.nodename) { $0.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) } }
        var status = stat()
        let space = stat("/proc/self/ns/pid", &status) == 0 ? String(status.st_ino) : ""
        let boot = (try? OpenFile.open("/proc/sys/kernel/random/boot_id").readAll(limit: 64)).map { String(decoding: $0.prefix(8), as: UTF8.self) } ?? ""
        return String("\(name)_\(boot)_\(space)".map { "-/".contains($0) ? "_" : $0 })
    }()

    /// Removes what was left behind in a directory by processes that are dead: of this machine, or of another one a day ago.
    public static func sweep(_ directory: Directory) {
        for name in (try? directory.names()) ?? [] where name.hasPrefix(".new-") {
            let parts = name.split(separator: "-")
            guard parts.count == 4, let pid = pid_t(parts[2]), let status = try? directory.status(name) else { continue }
            let isDead = parts[1] == host && kill(pid, 0) != 0 && errno == ESRCH
            if isDead || time(nil) - status.st_mtim.tv_sec > 86400 { try? directory.removeTree(name) }
        }
    }
}

extension Directory {
    /// Writes a small file in one step, which anyone may do at the same time, on any machine: readers see one's bytes or the other's.
    public func replace(_ name: String, with bytes: [UInt8]) throws(FileError) {
        let pending = try PendingFile(in: self, named: true)
        try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in try pending.file.write(UnsafeRawBufferPointer(buffer)) }
        try pending.publish(as: name)
    }

    /// A directory for this process alone, which ``PendingFile/sweep(_:)`` removes once that has ended.
    public func makePrivate() throws(FileError) -> (directory: Directory, name: String) {
        let name = PendingFile.newName()
        try makeNew(name, mode: 0o700)
        return (try directory(name), name)
    }
}
