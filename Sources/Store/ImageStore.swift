import AppC
import Digest
import Files
import Glibc
import Reference

/// The content-addressed store on disk (docs/store.md).
///
///     cas/blob/sha512/ab/sha512-ab…       the uncompressed tar of an ACI
///     cas/blob/sha256/66/sha256-66…       the same file, by the name Rocket 0.1 gave it
///     cas/imageManifest/sha512/ab/…       its manifest
///     cas/image/sha512-….json             what is known of it; where this exists, the image is complete. Its time is that of the last use
///     cas/index/ab/ab….sha512-…           which images a name, a URL or a SHA-256 may lead to
///     cas/name/REGISTRY/REPO/@TAG         the ID of what a Docker name was fetched as
///     cas/tree/sha512-…/rootfs            rendered, ready to run
///     cas/lock                            held for an instant by who adds, opens or removes images
///     tmp/                                work under way; whatever nobody has locked is left over
///
/// Every file appears by a rename or a link when it is whole and durable.
public final class ImageStore: Sendable {
    /// The data directory.
    public let root: Directory
    let cas: Directory

    /// Opens the store, making its directories where missing.
    public init(path: String) throws(FileError) {
        root = try Directory.make(path)
        cas = try root.make("cas")
    }

    /// The part of the store in which there is a record, an ID's first digits, and its name.
    static func path(_ id: ImageID) -> String { "\(id.algorithm.rawValue)/\(id.hex.prefix(2))/\(id)" }

    // MARK: Locks

    /// Runs `body` while nobody adds or removes images, or, where `exclusive`, while nobody else looks either. The kernel ends the
    /// lock of a process that dies.
    func locked<T>(exclusive: Bool, _ body: () throws -> T) throws -> T {
        let lock: OpenFile
        do { lock = try cas.file("lock", exclusive ? O_RDWR | O_CREAT : O_RDONLY | O_CREAT) } catch {
            // Somebody who may only read sees what is there; at worst an image goes while it is opened.
            guard !exclusive, error.code == EACCES || error.code == EROFS else { throw error }
            return try body()
        }
        _ = try lock.lock(exclusive: exclusive)
        return try withExtendedLifetime(lock) { try body() }
    }

    // MARK: Looking up

    /// All complete images, sorted by ID.
    public func images() throws -> [ImageRecord] {
        try cas.make("image").names().filter { !$0.hasPrefix(".") }.compactMap { try record(file: $0) }
    }

    public func record(_ id: ImageID) throws -> ImageRecord {
        guard let record = try record(file: "\(id).json") else { throw StoreError.noSuchImage(id.description) }
        return record
    }

    func record(file name: String) throws -> ImageRecord? {
        let directory = try cas.make("image")
        let file: OpenFile
        do { file = try directory.file(name) } catch { if error.code == ENOENT { return nil } else { throw error } }
        guard var record = try? CanonicalJSON.decode(ImageRecord.self, from: file.readAll(limit: 16 << 20)), ImageID(record.id) != nil else {
            throw StoreError.damaged(path: file.path)
        }
        record.lastUse = try file.status().st_mtim.tv_sec
        return record
    }

    /// Opens an image, and notes that it is used.
    public func open(_ id: ImageID) throws -> StoredImage { try locked(exclusive: false) { try openLocked(id) } }

    func openLocked(_ id: ImageID) throws -> StoredImage {
        let record = try record(id)
        // Who may only read leaves no trace.
        utimensat(try cas.make("image").descriptor, "\(id).json", nil, AT_SYMLINK_NOFOLLOW)
        let file = try manifestFile(id)
        let manifest = try Self.manifest(in: file)
        try file.seek(to: 0)
        return StoredImage(id: id, record: record, manifest: manifest, manifestFile: file, blob: try blob(id))
    }

    /// The image whose ID, by SHA-512 or SHA-256, begins as given.
    public func resolve(_ prefix: ImageIDPrefix) throws -> ImageID {
        guard prefix.hex.utf8.count >= 2 else { throw StoreError.prefixTooShort(prefix.description) }
        // Records are named by the SHA-512; of SHA-256 there are the links beside the blobs.
        var candidates: [ImageID] = []
        if prefix.algorithm == .sha512 {
            for name in try cas.make("image").names() where name.hasPrefix(prefix.description) {
                if let id = ImageID(name.dropLast(5)) { candidates.append(id) }
            }
        } else {
            for name in ((try? cas.directory("blob/sha256/\(prefix.hex.prefix(2))").names()) ?? []) where name.hasPrefix(prefix.description) {
                candidates += try self.candidates(.sha256(name)).filter { $0.sha256 == name }.compactMap { ImageID($0.id) }
            }
        }
        guard let first = candidates.first else { throw StoreError.noSuchImage(prefix.description) }
        guard candidates.count == 1 else { throw StoreError.ambiguous(prefix.description, candidates: candidates) }
        return first
    }

    /// What a Docker name was last fetched as; nil where it never was, or the image is gone.
    public func resolve(_ reference: ImageReference) throws -> ImageID? {
        let (path, file) = Self.namePath(reference)
        let bytes: [UInt8]
        do { bytes = try cas.directory("name/" + path).file(file).readAll(limit: 4096) } catch {
            if error.code == ENOENT { return nil } else { throw error }
        }
        guard let id = ImageID(String(decoding: bytes, as: UTF8.self)) else { return nil }
        return cas.exists("image/\(id).json") ? id : nil
    }

    /// A component of a repository never begins with `@`, so names and directories can't meet.
    static func namePath(_ reference: ImageReference) -> (directory: String, file: String) {
        ("\(reference.registry)/\(reference.repository)", "@" + reference.manifestReference)
    }

    /// All images with a manifest of this name and these labels, sorted by ID.
    public func images(name: String, labels: [NamedValue]) throws -> [ImageRecord] {
        try candidates(.name(name)).filter { $0.name == name && $0.has(labels) }.sorted { $0.id < $1.id }
    }

    /// The image with a manifest of this name and these labels. Where no version is asked for, what discovery once gave to somebody
    /// who asked for none goes first; then what was fetched last.
    public func resolve(name: String, labels: [NamedValue]) throws -> ImageID? {
        let wantsVersion = labels.contains { $0.name == "version" }
        let best = try images(name: name, labels: labels).max {
            let left = (!wantsVersion && $0.latest == true ? 1 : 0, $0.importTime, $0.id)
            let right = (!wantsVersion && $1.latest == true ? 1 : 0, $1.importTime, $1.id)
            return left < right
        }
        return best.flatMap { ImageID($0.id) }
    }

    /// The image that was last fetched from a URL.
    public func resolve(url: String) throws -> (id: ImageID, remote: RemoteCopy)? {
        var best: (id: ImageID, remote: RemoteCopy)?
        for record in try candidates(.url(url)) {
            guard let remote = record.remotes?.first(where: { $0.url == url }), let id = ImageID(record.id) else { continue }
            if best.map({ $0.remote.downloadTime <= remote.downloadTime }) ?? true { best = (id, remote) }
        }
        return best
    }

    public func manifest(_ id: ImageID) throws -> ImageManifest { try Self.manifest(in: manifestFile(id)) }

    private func manifestFile(_ id: ImageID) throws -> OpenFile { try cas.file("imageManifest/\(Self.path(id))") }

    private static func manifest(in file: OpenFile) throws -> ImageManifest {
        guard let manifest = try? CanonicalJSON.decode(ImageManifest.self, from: file.readAll(limit: 16 << 20)) else {
            throw StoreError.damaged(path: file.path)
        }
        return manifest
    }

    /// The uncompressed tar.
    public func blob(_ id: ImageID) throws -> OpenFile { try cas.file("blob/\(Self.path(id))") }
}
