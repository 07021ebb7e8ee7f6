import Cache
import Digest
import Files
import Glibc
import Hashing

/// Blobs in a cache's directory. Nothing of what lies there is trusted: it is hashed whenever it is used. A blob that is being
/// fetched is locked by `locks/XX`, the first two digits of its digest, so that others wait and then share it; the kernel drops the
/// lock with its process.
public final class BlobCache: Sendable {
    private let kept: CacheDirectory
    private let limit: Int
    private let locks: Directory

    public var directory: Directory { kept.directory }

    /// - Parameter limit: bytes that are kept at most.
    /// - Throws: `FileError`
    public init(_ directory: CacheDirectory, limit: Int = CacheDirectory.standardLimit) throws {
        kept = directory
        self.limit = limit
        locks = try directory.directory.make("locks")
        // The bound may be lower than that of the run before, and this one may add nothing.
        try directory.trim(to: limit)
    }

    /// A blob from the cache, or fetched into it: once, however many ask for it at once.
    ///
    /// - Parameters:
    ///   - size: bytes, where known.
    ///   - scratch: where a blob goes that is larger than the cache may be, or than its disk has room for.
    ///   - fetch: downloads into an empty file, and checks the digest.
    /// - Returns: the file, at its beginning, which stays readable whatever becomes of the cache.
    /// - Throws: `FileError`, and errors of `fetch`.
    public func blob(_ digest: Digest, size: Int?, scratch: Directory, fetch: (OpenFile) throws -> Void) throws -> OpenFile {
        if let found = try find(digest, size: size) { return found }
        let lock = try locks.file(String(digest.hex.prefix(2)), O_RDONLY | O_CREAT, mode: 0o644)
        // Where no locks are to be had, on some network file systems, two may fetch the same.
        _ = try? lock.lock(exclusive: true)
        // Somebody else may have fetched it while we waited.
        if let found = try find(digest, size: size) { return found }
        guard hasRoom(for: size ?? 0) else {
            let file = try scratch.unnamedFile()
            try fetch(file)
            try file.seek(to: 0)
            return file
        }
        let blobs = try directory.make("blobs/\(digest.algorithm.rawValue)")
        let pending = try PendingFile(in: blobs)
        let file = pending.file
        try fetch(file)
        if try file.size() <= limit {
            try pending.publish(as: digest.hex)
            try kept.trim(to: limit)
        }
        try file.seek(to: 0)
        return file
    }

    /// Removes a blob, where it is there. Whoever reads it can read on.
    /// - Throws: `FileError`
    public func remove(_ digest: Digest) throws(FileError) { try kept.remove(digest) }

    /// A blob that is kept and whole. What isn't whole is removed.
    private func find(_ digest: Digest, size: Int?) throws -> OpenFile? {
        guard let blobs = try? directory.directory("blobs/\(digest.algorithm.rawValue)"), let file = try? blobs.file(digest.hex) else { return nil }
        let hasher = StreamHasher(digest.algorithm)
        let length = try file.size()
        if size == nil || size == length {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
            defer { buffer.deallocate() }
            while case let count = try file.read(into: buffer), count > 0 { hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
            if hasher.finish() == digest {
                // Now is when it was last used.
                futimens(file.descriptor, nil)
                try file.seek(to: 0)
                return file
            }
        }
        try blobs.remove(digest.hex)
        return nil
    }

    private func hasRoom(for size: Int) -> Bool {
        var status = statvfs()
        guard size <= limit, fstatvfs(directory.descriptor, &status) == 0 else { return false }
        return Int(status.f_bavail) * Int(status.f_frsize) > size + (64 << 20)
    }
}
