import AppC
import Digest
import Files
import Glibc
import Reference

/// The content-addressed store on disk.
///
///     cas/blob/sha512/ab/sha512-ab…       the uncompressed tar of an ACI
///     cas/blob/sha256/66/sha256-66…       the same file, by the name Rocket 0.1 gave it
///     cas/imageManifest/sha512/ab/…       its manifest
///     cas/image/sha512-….json             what is known of it; where this exists, the image is complete
///     cas/name/REGISTRY/REPO/@TAG         the ID of what a Docker name was fetched as
///     cas/tree/sha512-…/rootfs            rendered, ready to run
///     tmp/                                work under way; whatever nobody has locked is left over
///
/// Every file appears by a rename when it is whole and durable, so that readers need no lock.
public final class ImageStore: Sendable {
    /// The data directory.
    public let root: Directory
    let cas: Directory

    /// Opens the store, making its directories where missing.
    public init(path: String) throws(FileError) {
        root = try Directory.make(path)
        cas = try root.make("cas")
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

    private func record(file name: String) throws -> ImageRecord? {
        let directory = try cas.make("image")
        let file: OpenFile
        do { file = try directory.file(name) } catch { if error.code == ENOENT { return nil } else { throw error } }
        guard let record = try? CanonicalJSON.decode(ImageRecord.self, from: file.readAll(limit: 16 << 20)), ImageID(record.id) != nil else {
            throw StoreError.damaged(path: file.path)
        }
        return record
    }

    /// The image whose ID, by SHA-512 or SHA-256, begins as given.
    public func resolve(_ prefix: ImageIDPrefix) throws -> ImageID {
        guard prefix.hex.utf8.count >= 2 else { throw StoreError.prefixTooShort(prefix.description) }
        // Records are named by the SHA-512; of SHA-256 there are only the links beside the blobs.
        var candidates: [ImageID] = []
        if prefix.algorithm == .sha512 {
            for name in try cas.make("image").names() where name.hasPrefix(prefix.description) {
                if let id = ImageID(name.dropLast(5)) { candidates.append(id) }
            }
        } else {
            for record in try images() where record.sha256.hasPrefix(prefix.description) {
                if let id = ImageID(record.id) { candidates.append(id) }
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
    private static func namePath(_ reference: ImageReference) -> (directory: String, file: String) {
        ("\(reference.registry)/\(reference.repository)", "@" + reference.manifestReference)
    }

    public func manifest(_ id: ImageID) throws -> ImageManifest {
        let file = try cas.file("imageManifest/\(Self.path(id))")
        guard let manifest = try? CanonicalJSON.decode(ImageManifest.self, from: file.readAll(limit: 16 << 20)) else {
            throw StoreError.damaged(path: file.path)
        }
        return manifest
    }

    /// The uncompressed tar.
    public func blob(_ id: ImageID) throws -> OpenFile { try cas.file("blob/\(Self.path(id))") }

    static func path(_ id: ImageID) -> String { "\(id.algorithm.rawValue)/\(id.hex.prefix(2))/\(id)" }

    // MARK: Adding

    /// Makes a blob that lies in a workspace part of the store. What is there already stays as it is.
    ///
    /// - Parameter name: the Docker name it came by, if any, which leads to it from now on.
    public func add(_ record: ImageRecord, manifest: [UInt8], blob: OpenFile, from workspace: Workspace, name: ImageReference?) throws {
        guard let id = ImageID(record.id), let sha256 = ImageID(record.sha256) else { throw StoreError.damaged(path: blob.path) }
        fchown(blob.descriptor, geteuid(), getegid())
        fchmod(blob.descriptor, 0o644)
        try blob.sync()
        let directory = try cas.make("blob/sha512/\(id.hex.prefix(2))")
        if !directory.exists(id.description) {
            try workspace.directory.rename(Workspace.blobName, to: directory, as: id.description)
            try directory.sync()
        }
        let other = try cas.make("blob/sha256/\(sha256.hex.prefix(2))")
        if linkat(directory.descriptor, id.description, other.descriptor, sha256.description, 0) != 0, errno != EEXIST {
            throw FileError("link", "\(other.path)/\(sha256)")
        }
        try cas.make("imageManifest/sha512/\(id.hex.prefix(2))").write(manifest, atomicallyTo: id.description)
        let records = try cas.make("image")
        if !records.exists("\(id).json") { try records.write(CanonicalJSON.encode(record), atomicallyTo: "\(id).json") }
        if let name {
            let (path, file) = Self.namePath(name)
            try cas.make("name/" + path).write(Array(id.description.utf8), atomicallyTo: file)
        }
    }

    // MARK: Removing

    /// Removes an image: first the record, so that nobody finds half of it.
    public func remove(_ id: ImageID) throws {
        let record = try record(id)
        try cas.make("image").remove("\(id).json")
        try cas.make("imageManifest/sha512/\(id.hex.prefix(2))").remove(id.description)
        if let sha256 = ImageID(record.sha256) { try cas.make("blob/sha256/\(sha256.hex.prefix(2))").remove(sha256.description) }
        try cas.make("blob/sha512/\(id.hex.prefix(2))").remove(id.description)
        try cas.make("tree").removeTree(id.description)
    }
}
