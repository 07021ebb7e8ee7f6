import Files
import Glibc

/// A directory that a web server serves, or is copied to one.
public struct DirectoryPlace: PublishingPlace, Sendable {
    public let directory: Directory

    /// Opens it, or makes it.
    /// - Throws: `FileError`
    public init(_ path: String) throws(FileError) { directory = try Directory.make(path) }

    /// Makes a file's bytes those of another, in one step, unless they are already.
    ///
    /// Without locks, and with nothing that a network file system lacks: two who put the same at once do no harm.
    /// - Parameter name: with slashes; directories are made.
    public func put(_ file: OpenFile, as name: String) throws(FileError) {
        let parts = name.split(separator: "/").map(String.init)
        let parent = parts.count > 1 ? try directory.make(parts.dropLast().joined(separator: "/")) : directory
        if let there = try? parent.file(parts.last!), try Self.isSame(there, file) { return }
        let temporary = ".new-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        do throws(FileError) {
            let copy = try parent.file(temporary, O_WRONLY | O_CREAT | O_EXCL)
            try file.seek(to: 0)
            try copy.write(contentsOf: file)
            try parent.rename(temporary, to: parent, as: parts.last!)
        } catch {
            try? parent.remove(temporary)
            throw error
        }
    }

    public func read(_ name: String) throws(FileError) -> [UInt8]? {
        do throws(FileError) { return try directory.file(name).readAll(limit: 16 << 20) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    /// At any depth, but those whose names begin with a dot.
    public func files() throws(FileError) -> [PublishedFile] { try Self.files(in: directory, "") }

    private static func files(in directory: Directory, _ prefix: String) throws(FileError) -> [PublishedFile] {
        var result: [PublishedFile] = []
        for name in try directory.names() where !name.hasPrefix(".") {
            guard let status = try directory.status(name) else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG: result.append(PublishedFile(name: prefix + name, size: Int(status.st_size)))
            case S_IFDIR: result += try files(in: directory.directory(name), prefix + name + "/")
            default: break
            }
        }
        return result
    }

    private static func isSame(_ one: OpenFile, _ other: OpenFile) throws(FileError) -> Bool {
        let size = try one.size()
        guard size == (try other.size()) else { return false }
        let (left, right) = (
            UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16), UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        )
        defer {
            left.deallocate()
            right.deallocate()
        }
        var offset = 0
        while offset < size {
            let count = try one.read(into: left, at: offset)
            var filled = 0
            while filled < count {
                let more = try other.read(into: UnsafeMutableRawBufferPointer(rebasing: right[filled..<count]), at: offset + filled)
                guard more > 0 else { return false }
                filled += more
            }
            guard count > 0, memcmp(left.baseAddress!, right.baseAddress!, count) == 0 else { return false }
            offset += count
        }
        return true
    }
}
