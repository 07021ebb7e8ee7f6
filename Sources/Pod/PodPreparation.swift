import AppC
import Files
import Glibc

/// An image that an app is run from, rendered.
public struct RenderedImage: Sendable {
    /// `sha512-…`
    public var id: String
    public var manifest: ImageManifest
    /// The manifest's own, at its beginning.
    public var manifestFile: OpenFile
    public var root: Directory
    /// The root, relative to the data directory.
    public var path: String

    public init(id: String, manifest: ImageManifest, manifestFile: OpenFile, root: Directory, path: String) {
        (self.id, self.manifest, self.manifestFile, self.root, self.path) = (id, manifest, manifestFile, root, path)
    }
}

extension PodDirectory {
    /// Fills the directory with all that the pod's apps need, and writes its manifest.
    /// - Parameters:
    ///   - images: one for each app, in their order.
    ///   - overlay: whether the roots are to be layers above the rendered trees, or else copies.
    /// - Returns: the manifest as the pod has it, and the volumes that nobody had asked for.
    /// - Throws: ``PodError``, `FileError`.
    public func prepare(_ manifest: PodManifest, images: [RenderedImage], overlay: Bool) throws -> (manifest: PodManifest, implicit: [ImplicitVolume]) {
        try manifest.checkNames()
        let (complete, implicit) = manifest.completed(images: images.map(\.manifest))
        for (app, image) in zip(complete.apps ?? [], images) {
            let directory = try self.app(app.name)
            try directory.link(image.manifestFile, as: "manifest")
            if overlay {
                try directory.file("tree", O_WRONLY | O_CREAT | O_TRUNC).write(image.path)
                _ = try directory.make("work")
                // The layer's top is what the app sees as `/`.
                try directory.make("upper").adoptStatus(of: image.root)
            } else {
                let rootfs = try directory.make("rootfs")
                try image.root.copyContents(into: rootfs)
                try rootfs.adoptStatus(of: image.root)
            }
        }
        for volume in complete.volumes ?? [] where volume.kind == "empty" { try make(volume) }
        for app in complete.apps ?? [] { for volume in (app.mounts ?? []).compactMap(\.appVolume) where volume.kind == "empty" { try make(volume) } }
        for volume in implicit where volume.isSeeded {
            guard let index = complete.apps?.firstIndex(where: { $0.name == volume.app }) else { continue }
            try seed(volume, from: images[index].root)
        }
        try write(complete)
        return (complete, implicit)
    }

    private func make(_ volume: Volume) throws(FileError) {
        let directory = try directory.make("volumes/\(volume.name)")
        let mode = volume.mode.flatMap { UInt32($0, radix: 8) } ?? 0o755
        guard fchown(directory.descriptor, uid_t(volume.uid ?? 0), gid_t(volume.gid ?? 0)) == 0, fchmod(directory.descriptor, mode) == 0 else {
            throw FileError("set the owner of", directory.path)
        }
    }

    /// Gives a volume what the image has at its place, and that directory's owner and mode.
    private func seed(_ volume: ImplicitVolume, from root: Directory) throws(FileError) {
        let place: OpenFile
        do { place = try root.inside(AppMount.cleaned(volume.path), O_RDONLY | O_DIRECTORY) } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return } else { throw error }
        }
        let source = try Directory.open("/proc/self/fd/\(place.descriptor)")
        let target = try directory.directory("volumes/\(volume.volume)")
        try source.copyContents(into: target)
        try target.adoptStatus(of: source)
    }

    // MARK: What was prepared

    /// The manifest of an app's image.
    public func imageManifest(of app: String) throws -> ImageManifest {
        try CanonicalJSON.decode(ImageManifest.self, from: self.app(app).file("manifest").readAll(limit: 16 << 20))
    }

    /// The rendered tree below an app's layer, relative to the data directory; nil where its root is a copy.
    public func tree(of app: String) throws -> String? {
        let directory = try self.app(app)
        guard directory.exists("tree") else { return nil }
        return String(decoding: try directory.file("tree").readAll(limit: 4096), as: UTF8.self)
    }

    /// Whether an app's root is a layer, and no copy.
    public var hasLayers: Bool { ((try? manifest().apps) ?? []).contains { ((try? tree(of: $0.name)) ?? nil) != nil } }

    /// Who the pod's root is outside, where it has users of its own.
    public var firstUser: UInt32? { number("users").flatMap { UInt32(exactly: $0) } }

    /// Notes who the pod's root is to be outside.
    public func setFirstUser(_ first: UInt32) throws(FileError) { try directory.file("users", O_WRONLY | O_CREAT | O_TRUNC).write("\(first)\n") }

    /// Whether the pod's files belong to its users on disk.
    public var isShifted: Bool { directory.exists("shifted") }

    /// Gives the pod's files to its users on disk, for where they can't be mounted so: roots, which are copies from then on, and empty volumes.
    /// Nothing may have run yet.
    public func shiftOwners(below count: UInt32, to first: UInt32, of data: Directory) throws {
        try copyRoots(of: data)
        for app in try manifest().apps ?? [] { try self.app(app.name).directory("rootfs").shiftOwners(below: count, to: first) }
        try (try? directory.directory("volumes"))?.shiftOwners(below: count, to: first)
        try directory.file("shifted", O_WRONLY | O_CREAT).write("")
    }

    /// Replaces the layers of all apps by copies of their trees, for where no overlay can be mounted. Nothing may have run yet.
    public func copyRoots(of data: Directory) throws {
        for app in try manifest().apps ?? [] {
            guard let path = try tree(of: app.name) else { continue }
            let (tree, directory) = (try data.directory(path), try self.app(app.name))
            let rootfs = try directory.make("rootfs")
            try tree.copyContents(into: rootfs)
            try rootfs.adoptStatus(of: tree)
            try directory.remove("tree")
        }
    }
}
