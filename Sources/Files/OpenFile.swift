import CLinux
import Glibc

/// Whatever owns a descriptor. Functions that need one for a while take its owner: a bare number may be closed under them,
/// since Swift drops an object after its last use.
public protocol DescriptorOwner: AnyObject, Sendable {
    var descriptor: Int32 { get }
}

/// An open file. Owns the descriptor and closes it when the last reference goes.
///
/// Positioned reads may be made from several threads at once.
public final class OpenFile: DescriptorOwner {
    public let descriptor: Int32
    /// For messages only.
    public let path: String

    /// Takes ownership of `descriptor`.
    public init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Whether a path leads to something that can be read as a file: an argument that does is that file, and no name.
    public static func isFile(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    /// Opens a file by path, close-on-exec.
    public static func open(_ path: String, _ flags: Int32 = O_RDONLY, mode: mode_t = 0o644) throws(FileError) -> OpenFile {
        let descriptor = Glibc.open(path, flags | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw FileError("open", path) }
        return OpenFile(descriptor: descriptor, path: path)
    }

    /// A file or a directory that is only named (`O_PATH`): nothing can be read by the descriptor, and no right to is needed.
    public static func named(_ path: String) throws(FileError) -> OpenFile { try open(path, 0o10000000) }

    /// A new file that lives in memory and has no name, with these bytes and its position at their end.
    /// - Parameter name: for messages only.
    public static func inMemory(_ name: String, _ bytes: [UInt8] = []) throws(FileError) -> OpenFile {
        let descriptor = system_memory_file(name)
        guard descriptor >= 0 else { throw FileError("create", "\(name) in memory") }
        let file = OpenFile(descriptor: descriptor, path: "\(name) in memory")
        try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in try file.write(UnsafeRawBufferPointer(buffer)) }
        return file
    }

    deinit { close(descriptor) }

    public func status() throws(FileError) -> stat {
        var result = stat()
        guard fstat(descriptor, &result) == 0 else { throw FileError("stat", path) }
        return result
    }

    /// Length in bytes.
    public func size() throws(FileError) -> Int { Int(try status().st_size) }

    /// Reads at the file's position.
    /// - Returns: how many bytes came; 0 at the end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(FileError) -> Int {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            guard errno == EINTR else { throw FileError("read", path) }
        }
    }

    /// Reads at `offset` without moving the file's position.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
            if count >= 0 { return count }
            guard errno == EINTR else { throw FileError("read", path) }
        }
    }

    /// All bytes from `offset` to the end, refusing more than `limit`.
    public func readAll(limit: Int) throws(FileError) -> [UInt8] {
        var result: [UInt8] = []
        // Most files are small; those of /proc have no size.
        var chunk = [UInt8](repeating: 0, count: min(max(try size() + 1, 4096), 65536))
        while true {
            let count = try chunk.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
                try read(into: UnsafeMutableRawBufferPointer(buffer))
            }
            if count == 0 { return result }
            guard result.count + count <= limit else { throw FileError("read all of", path, code: EFBIG) }
            result.append(contentsOf: chunk[..<count])
        }
    }

    /// Writes all that is left of another file at this one's position.
    public func write(contentsOf other: OpenFile) throws(FileError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try other.read(into: buffer)
            if count == 0 { return }
            try write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// Writes all bytes at the file's position.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        var rest = bytes
        while rest.count > 0 {
            let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("write to", path)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    public func write(_ text: String) throws(FileError) {
        try Array(text.utf8).withUnsafeBufferPointer { (buffer) throws(FileError) in try write(UnsafeRawBufferPointer(buffer)) }
    }

    /// Makes what was written durable.
    public func sync() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    public func seek(to offset: Int) throws(FileError) {
        guard lseek(descriptor, off_t(offset), SEEK_SET) >= 0 else { throw FileError("seek in", path) }
    }

    /// Empties the file and goes back to its beginning.
    public func restart() throws(FileError) {
        // ext4 writes a file that was ever emptied to disk when it is closed: an empty one is left alone.
        guard try size() == 0 || ftruncate(descriptor, 0) == 0 else { throw FileError("empty", path) }
        try seek(to: 0)
    }

    /// Takes a `flock(2)` lock, which the kernel drops when the last copy of the descriptor is closed.
    /// - Returns: false where `wait` is false and someone else holds it.
    public func lock(exclusive: Bool, wait: Bool = true) throws(FileError) -> Bool {
        try lockDescriptor(descriptor, path: path, exclusive: exclusive, wait: wait)
    }
}

func lockDescriptor(_ descriptor: Int32, path: String, exclusive: Bool, wait: Bool) throws(FileError) -> Bool {
    while flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)) != 0 {
        if errno == EINTR { continue }
        if errno == EWOULDBLOCK { return false }
        throw FileError("lock", path)
    }
    return true
}
