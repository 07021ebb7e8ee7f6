import CLinux
import Digest
import Files
import Glibc

extension ImageStore {
    /// The rendered rootfs of an image, made by `render` where it isn't there yet.
    ///
    /// However many processes ask at once, it is made once: a lock file is held while rendering, and the tree appears by a
    /// rename when it is whole.
    /// - Parameter render: fills the directory it is given with the image's `rootfs`.
    /// - Returns: the rootfs, and its path relative to the data directory.
    public func tree(_ id: ImageID, render: (OpenFile, Directory) throws -> Void) throws -> (directory: Directory, path: String) {
        try makeTree(id, render)
        let path = "cas/tree/\(id)/rootfs"
        return (try root.directory(path), path)
    }

    private func makeTree(_ id: ImageID, _ render: (OpenFile, Directory) throws -> Void) throws {
        let trees = try cas.make("tree", mode: 0o700)
        if trees.exists(id.description) { return }
        let lock = try cas.make("treelocks").file(id.description, O_RDWR | O_CREAT)
        _ = try lock.lock(exclusive: true)
        if trees.exists(id.description) { return }
        let temporary = ".new-\(id)"
        try trees.removeTree(temporary)
        do {
            try render(blob(id), trees.make(temporary, mode: 0o755))
            guard system_sync_filesystem(trees.descriptor) == 0 else { throw FileError("sync", trees.path) }
            try trees.rename(temporary, to: trees, as: id.description)
            try trees.sync()
        } catch {
            try? trees.removeTree(temporary)
            throw error
        }
    }
}
