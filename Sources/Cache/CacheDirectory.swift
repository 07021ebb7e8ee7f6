import Digest
import Files
import Glibc

/// The directory of a cache: compressed layers, configurations and manifests by their digests, kept between runs and shared by all
/// processes of a user.
///
/// `blobs/ALGORITHM/HEX` are the blobs, whose times say when they were last used; `locks` are of those that use it (`BlobCache`).
public struct CacheDirectory: Sendable {
    /// One blob that is kept.
    public struct Entry: Sendable {
        public var digest: Digest
        /// Bytes.
        public var size: Int
        /// Seconds since 1970.
        public var lastUse: Int
        fileprivate var nanoseconds: Int
    }

    /// What is kept at most where nobody says otherwise.
    public static let standardLimit = 10 << 30

    public let directory: Directory

    public init(_ directory: Directory) { self.directory = directory }

    /// Makes a cache where there is none. Root's belongs to nobody, as whom images are fetched.
    /// - Returns: nil where no cache can be kept: work goes on without one.
    public static func make(_ path: String) -> CacheDirectory? {
        guard let directory = try? Directory.make(path, mode: 0o700) else { return nil }
        for name in ["locks", "blobs/sha256", "blobs/sha512"] {
            guard let made = try? directory.make(name) else { return nil }
            if geteuid() == 0 { fchown(made.descriptor, nobody, nobody) }
        }
        if geteuid() == 0 { fchown(directory.descriptor, nobody, nobody) }
        return faccessat(directory.descriptor, "blobs/sha256", W_OK, 0) == 0 ? CacheDirectory(directory) : nil
    }

    /// That of whoever runs this, at its default place; nil where none can be kept.
    public static var standard: CacheDirectory? { standardPath.flatMap { make($0) } }

    /// Where a cache is by default: `$D2A_CACHE`; `/var/cache/d2a` for root; else `$XDG_CACHE_HOME/d2a` or `~/.cache/d2a`.
    public static var standardPath: String? {
        if let path = environmentVariable("D2A_CACHE") { return path }
        if geteuid() == 0 { return "/var/cache/d2a" }
        return environmentVariable("XDG_CACHE_HOME").map { $0 + "/d2a" } ?? environmentVariable("HOME").map { $0 + "/.cache/d2a" }
    }

    /// Removes a blob, where it is there. Whoever reads it can read on.
    /// - Throws: `FileError`
    public func remove(_ digest: Digest) throws(FileError) {
        try (try? directory.directory("blobs/\(digest.algorithm.rawValue)"))?.remove(digest.hex)
    }

    /// All blobs, the one that was used longest ago first.
    public func entries() throws -> [Entry] {
        var result: [Entry] = []
        for algorithm in DigestAlgorithm.allCases {
            guard let blobs = try? directory.directory("blobs/\(algorithm.rawValue)") else { continue }
            for name in try blobs.names() {
                guard let digest = Digest(algorithm: algorithm, hex: name), let status = try blobs.status(name) else { continue }
                result.append(Entry(digest: digest, size: Int(status.st_size), lastUse: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec))
            }
        }
        return result.sorted { ($0.lastUse, $0.nanoseconds, $0.digest.hex) < ($1.lastUse, $1.nanoseconds, $1.digest.hex) }
    }

    /// Removes what was used longest ago until no more than `limit` bytes are left, and names that dead processes left behind.
    /// - Returns: the bytes that were freed.
    @discardableResult
    public func trim(to limit: Int) throws -> Int {
        for algorithm in DigestAlgorithm.allCases {
            guard let blobs = try? directory.directory("blobs/\(algorithm.rawValue)") else { continue }
            for name in try blobs.names() where name.hasPrefix(".") {
                guard let status = try blobs.status(name), time(nil) - status.st_ctim.tv_sec > 60 else { continue }
                try blobs.remove(name)
            }
        }
        let entries = try entries()
        var total = entries.reduce(0) { $0 + $1.size }
        var freed = 0
        for entry in entries where total > limit {
            try remove(entry.digest)
            total -= entry.size
            freed += entry.size
        }
        return freed
    }
}
