import AppC
import Digest
import Files
import Glibc
import Reference

extension ImageStore {
    // MARK: Adding

    /// Makes a blob that lies in a workspace part of the store. What is there already stays as it is.
    ///
    /// - Parameter name: the Docker name it came by, if any, which leads to it from now on.
    @discardableResult
    public func add(_ record: ImageRecord, manifest: [UInt8], blob: OpenFile, from workspace: Workspace, name: ImageReference?) throws -> StoredImage {
        guard let id = ImageID(record.id), let sha256 = ImageID(record.sha256) else { throw StoreError.damaged(path: blob.path) }
        fchown(blob.descriptor, geteuid(), getegid())
        fchmod(blob.descriptor, 0o644)
        try blob.sync()
        let size = try blob.size()
        return try locked(exclusive: true) {
            let directory = try makeDurable("blob/sha512/\(id.hex.prefix(2))")
            // What isn't as long as it was when it was made durable was damaged by somebody.
            if let status = try directory.status(id.description), status.st_size != size { try directory.remove(id.description) }
            if !directory.exists(id.description) {
                try workspace.directory.rename(Workspace.blobName, to: directory, as: id.description)
                try directory.sync()
            }
            let other = try makeDurable("blob/sha256/\(sha256.hex.prefix(2))")
            if try other.status(sha256.description)?.st_ino != directory.status(id.description)?.st_ino {
                try other.remove(sha256.description)
                guard linkat(directory.descriptor, id.description, other.descriptor, sha256.description, 0) == 0 else {
                    throw FileError("link", "\(other.path)/\(sha256)")
                }
                try other.sync()
            }
            try makeDurable("imageManifest/sha512/\(id.hex.prefix(2))").write(manifest, atomicallyTo: id.description)
            try write(self.record(file: "\(id).json").map { record.merged(with: $0) } ?? record)
            if let name {
                let (path, file) = Self.namePath(name)
                try makeDurable("name/" + path).write(Array(id.description.utf8), atomicallyTo: file)
            }
            return try openLocked(id)
        }
    }

    /// Notes what a server said of an image that we have.
    public func note(_ remote: RemoteCopy, of id: ImageID) throws {
        try locked(exclusive: true) {
            var record = try record(id)
            record.remotes = (record.remotes ?? []).filter { $0.url != remote.url } + [remote]
            try write(record)
        }
    }

    private func write(_ record: ImageRecord) throws {
        let records = try makeDurable("image")
        // A URL leads to what it gave last, and to nothing else.
        let urls = (record.remotes ?? []).map(\.url)
        try makeHints(of: record)
        for var other in try urls.flatMap({ try candidates(.url($0)) }) where other.id != record.id {
            other.remotes = other.remotes?.filter { !urls.contains($0.url) }
            let lastUse = timespec(tv_sec: other.lastUse ?? 0, tv_nsec: 0)
            try records.write(CanonicalJSON.encode(other), atomicallyTo: "\(other.id).json")
            utimensat(records.descriptor, "\(other.id).json", [lastUse, lastUse], AT_SYMLINK_NOFOLLOW)
        }
        try records.write(CanonicalJSON.encode(record), atomicallyTo: "\(record.id).json")
    }

    /// A directory of the store, whose own entry is durable too.
    private func makeDurable(_ path: String) throws -> Directory {
        if let directory = try? cas.directory(path) { return directory }
        var current = cas
        for component in path.split(separator: "/") {
            let next = try current.make(String(component))
            try current.sync()
            current = next
        }
        return current
    }

    // MARK: Removing

    /// Removes an image, and the trees of it that no pod uses.
    public func remove(_ id: ImageID) throws {
        try locked(exclusive: true) { try removeLocked(id) }
        for tree in try trees(of: id) { try remove(tree) }
    }

    /// First the record, so that nobody finds half of it.
    func removeLocked(_ id: ImageID) throws {
        let record = try record(id)
        try cas.make("image").remove("\(id).json")
        try cas.make("imageManifest/sha512/\(id.hex.prefix(2))").remove(id.description)
        if let sha256 = ImageID(record.sha256) { try cas.make("blob/sha256/\(sha256.hex.prefix(2))").remove(sha256.description) }
        try cas.make("blob/sha512/\(id.hex.prefix(2))").remove(id.description)
        try removeHints(of: record)
    }
}
