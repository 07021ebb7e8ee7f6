import AppC
import ArgumentParser
import Diagnostics
import Digest
import Files
import Glibc
import Pod
import Program
import Store

/// What a pod is made of.
struct PodContents {
    var manifest: PodManifest
    /// Those of the apps' images, in their order.
    var images: [ImageManifest]
}

extension PodDirectory {
    /// As it was prepared.
    func contents() throws -> PodContents {
        let manifest = try manifest()
        return PodContents(manifest: manifest, images: try (manifest.apps ?? []).map { try imageManifest(of: $0.name) })
    }
}

/// A pod as the command line asks for it, with its images found.
struct PodRequest {
    private var manifest = PodManifest()
    private let images: [StoredImage]

    /// Reads the options, and fetches what isn't in the store.
    init(_ options: PodOptions, _ apps: [AppWords], _ fetching: FetchOptions?, _ store: ImageStore) throws {
        let fetching = try fetching?.withCredentials()
        if let file = options.podManifest {
            guard apps.isEmpty else { throw ValidationError("conflicting flags set with --pod-manifest (see --help)") }
            manifest = try ManifestReader.pod(OpenFile.open(file).readAll(limit: 16 << 20)).manifest
            images = try (manifest.apps ?? []).map { app in try store.open(store.resolve(ImageIDPrefix(wholeOrBeginning: app.image.id, of: app.name))) }
            guard !images.isEmpty else { throw ValidationError("the pod manifest has no apps") }
            return
        }
        guard !apps.isEmpty else { throw ValidationError("must provide at least one image or specify the pod manifest") }
        let defaults = try options.defaults()
        manifest.volumes = try options.volumes()
        // All options before the first image: what makes no sense must not cost a download.
        let appOptions = try apps.map { try AppOptions.any($0.options) }
        let changes = try zip(apps, appOptions).map { try AppOptions.changes($1, arguments: $0.arguments, pod: defaults) }
        images = try zip(apps, appOptions).map { try store.findOrFetch($0.image, fetching, signature: $1?.signature) }
        manifest.apps = try zip(images, changes).map { try PodManifestApp($0.manifest, id: $0.id.description, changes: $1) }
        manifest.ports = try options.port.map { try PodPort(argument: $0) }
        try manifest.checkNames()
    }

    /// Renders the images and fills the pod's directory.
    /// - Parameter quietly: says nothing of what isn't an error: what the apps write is looked at by a program.
    func prepare(_ pod: PodDirectory, _ store: ImageStore, overlay: Bool, quietly: Bool = false) throws -> PodContents {
        let trees = try images.map { try store.tree(of: $0) }
        let rendered = zip(images, trees).map {
            RenderedImage(id: $0.id.description, manifest: $0.manifest, manifestFile: $0.manifestFile, root: $1.directory, path: $1.path)
        }
        // Until the pod's directory names them, nothing but their locks keeps the trees.
        let (complete, implicit) = try withExtendedLifetime(trees) { try pod.prepare(manifest, images: rendered, overlay: overlay) }
        for volume in implicit where !quietly {
            complain(
                """
                d2a: warning: no volume specified for mount point "\(volume.mountPoint)", implicitly creating an "empty" volume. \
                This volume will be removed when the pod is garbage-collected.\n
                """)
        }
        return PodContents(manifest: complete, images: images.map(\.manifest))
    }
}

extension ImageIDPrefix {
    /// What a pod manifest has for an image's ID.
    init(wholeOrBeginning text: String?, of app: String) throws {
        guard let text, let prefix = ImageIDPrefix(text) else {
            throw ValidationError("the app \(app) of the pod manifest names no image of the store by its id")
        }
        self = prefix
    }
}

extension PodPort {
    /// `NAME:[HOSTIP:]HOSTPORT`
    init(argument text: String) throws {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), ACName.isValid(parts[0]), let port = UInt16(parts[parts.count - 1]), port > 0 else {
            throw ValidationError("\"\(text)\" is not NAME:[HOSTIP:]HOSTPORT")
        }
        self.init(name: parts[0], hostPort: port, hostIP: parts.count == 3 ? parts[1] : nil)
    }
}
