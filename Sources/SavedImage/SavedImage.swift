import Files
import Glibc
import Image
import Manifests

/// Finds out what kind of saved image a file or a directory is.
public enum SavedImage {
    /// - Parameters:
    ///   - path: what messages call the file.
    ///   - image: which of several: `NAME[:TAG]`, or an OCI layout's `ref.name`.
    ///   - scratch: where a compressed archive is unpacked, to a file without a name.
    /// - Throws: ``SavedImageError``, `SourceError`, `FileError`, `ArchiveError`.
    public static func open(_ file: OpenFile, path: String, image: String?, platform: Platform, scratch: Directory) throws -> any ImageSource {
        // Of a pipe nothing is known before it is read.
        guard case let status = try file.status(), status.st_size > 0 || status.st_mode & S_IFMT != S_IFREG else {
            throw SavedImageError.unreadable(path: path, reason: "it is empty")
        }
        let tree = try ArchiveTree(file, path: path, scratch: scratch)
        // Docker 25 and later write both; the first has all names.
        if let manifest = try tree.bytes("manifest.json") { return try DockerArchiveSource(tree, manifest: manifest, image: image) }
        if let index = try tree.bytes("index.json") { return try OCILayoutSource(tree, index: index, image: image, platform: platform) }
        if try tree.blob("repositories") != nil || !tree.directories(with: "layer.tar").isEmpty { return try OldDockerArchiveSource(tree, image: image) }
        throw SavedImageError.notAnImage(path: path)
    }

    /// An OCI layout.
    public static func open(_ layout: LayoutDirectory, path: String, image: String?, platform: Platform) throws -> any ImageSource {
        let tree = DirectoryTree(layout: layout, path: path)
        guard let index = try tree.bytes("index.json") else { throw SavedImageError.notALayout(path: path) }
        return try OCILayoutSource(tree, index: index, image: image, platform: platform)
    }
}
