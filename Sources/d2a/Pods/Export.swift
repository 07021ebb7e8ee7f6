import AppC
import ArgumentParser
import CLinux
import Diagnostics
import Files
import Pod
import Stage1
import Store

/// `d2a export`: an app's root as an image.
struct ExportPod: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the root of an app that has ended, with all that it changed, as an ACI.",
        discussion: """
            The manifest is that of the app's image, which it no longer depends on. What volumes hold isn't part of it. Of the same pod it is \
            the same file.
            """)

    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("Of this app. (default: the pod's only app)", valueName: "name")) var app: String?
    @Option(help: ArgumentHelp("gzip, bzip2, xz, zstd or none.", valueName: "codec")) var compression = "gzip"
    @Flag(help: "Overwrite the file where it exists.") var overwrite = false
    @Argument(help: ArgumentHelp("The pod's UUID, or its beginning.", valueName: "uuid")) var uuid: String
    @Argument(help: ArgumentHelp("The ACI to write.", valueName: "file")) var file: String

    func validate() throws {
        guard ["gzip", "bzip2", "xz", "zstd", "none"].contains(compression) else { throw ValidationError("--compression is gzip, bzip2, xz, zstd or none") }
    }

    func run() throws {
        let root = try global.store().root
        guard overwrite || !OpenFile.isFile(file) else { throw OutputExists(path: file) }
        let (directory, name) = try Directory.holding(file)
        let output = try PendingFile(in: directory)
        try UserNamespace.enter()
        let pod = try PodDirectory.find(uuid, in: root)
        // What is locked can't begin or go while it is read.
        guard try pod.lock(), pod.phase == .run || pod.phase == .exitedGarbage else { throw PodError.notExited(uuid: pod.uuid) }
        let app = try pod.app(choosing: self.app).name
        var manifest = try pod.imageManifest(of: app)
        (manifest.dependencies, manifest.pathWhitelist) = (nil, nil)
        let manifestFile = try OpenFile.inMemory("manifest", CanonicalJSON.encode(manifest))
        try manifestFile.seek(to: 0)
        let first = pod.isShifted ? pod.firstUser ?? 0 : 0
        try Helper.run(["archive", "--compression=\(compression)", "--first=\(first)"], descriptors: [pod.root(of: app, in: root), manifestFile, output.file])
        try output.file.sync()
        try output.publish(as: name)
    }
}

extension PodDirectory {
    /// An app of the pod by its name, or the only one.
    /// - Throws: `EntryError/whichApp(_:)`
    func app(choosing name: String?) throws -> PodManifestApp {
        let apps = try manifest().apps ?? []
        guard let app = name.map({ name in apps.first { $0.name == name } }) ?? (apps.count == 1 ? apps.first : nil) else {
            throw EntryError.whichApp(apps.map(\.name))
        }
        return app
    }

    /// What an app that has ended left as its root, for reading only.
    fileprivate func root(of app: String, in data: Directory) throws -> Directory {
        guard let tree = try tree(of: app) else { return try data.directory(path("rootfs", of: app)) }
        var (upper, lower) = (try data.directory(path("upper", of: app)), try data.directory(tree))
        let ours = UserNamespace.isCurrent
        if ours {
            // Mounting takes a mount namespace of one's own there, and directories that were opened in it.
            guard system_new_mount_namespace() == 0 else { throw FileError("look at the layers of", upper.path) }
            (upper, lower) = (try Directory.open(upper.absolutePath()), try Directory.open(lower.absolutePath()))
        }
        let view = withExtendedLifetime((upper, lower)) {
            system_read_only_overlay("/proc/self/fd/\(upper.descriptor):/proc/self/fd/\(lower.descriptor)", ours ? 1 : 0)
        }
        guard view >= 0 else { throw FileError("look at the layers of", upper.path) }
        return Directory(descriptor: view, path: upper.path)
    }
}
