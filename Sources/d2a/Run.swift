import AppC
import ArgumentParser
import Diagnostics
import Digest
import Files
import Glibc
import Location
import Pod
import Program
import Reference
import Stage1
import Store

/// `d2a run`: an image's app in a pod.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run an image in a pod of its own.",
        discussion: """
            IMAGE is an ID of the store or its beginning, a name (busybox, localhost:5000/a/b:tag), or a file that docker save wrote. \
            What is not in the store is fetched first.

            ARGS replace the CMD of an image that came from Docker, as docker run does, and are appended to the command of any \
            other. The exit status is the app's, or 128 and the signal that ended it; 127 where the program isn't there, 126 where \
            it can't be run, 254 where d2a itself failed.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: FetchOptions
    @Option(help: ArgumentHelp("Run this program in place of the image's.", valueName: "program")) var exec: String?
    @Option(help: ArgumentHelp("Run as this user of the image's: a name, a number, or a file whose owner it is.", valueName: "user")) var user: String?
    @Option(help: ArgumentHelp("Run with this group of the image's.", valueName: "group")) var group: String?
    @Option(name: [.customLong("working-dir"), .customLong("working-directory")], help: ArgumentHelp("Run in this directory.", valueName: "path"))
    var workingDirectory: String?
    @Option(
        name: [.customLong("set-env"), .customLong("environment")], help: ArgumentHelp("Set an environment variable. May be repeated.", valueName: "name=value")
    )
    var environment: [String] = []
    @Option(help: ArgumentHelp("The pod's host name.", valueName: "name")) var hostname: String?
    @Option(help: ArgumentHelp("The pod's network: host, or none.", valueName: "network")) var net: PodNetwork = .host
    @Flag(help: "Give the app a terminal even where its output goes elsewhere.") var interactive = false
    @Flag(help: "Copy the image's tree for this pod instead of mounting an overlay on it.") var noOverlay = false
    @Argument(help: ArgumentHelp("What to run.", valueName: "image")) var image: String
    @Argument(parsing: .postTerminator, help: ArgumentHelp("Arguments for the app.", valueName: "args")) var arguments: [String] = []

    func run() throws {
        guard geteuid() == 0 else { throw NotRoot() }
        let store = try global.store()
        let id = try store.findOrFetch(image, options)
        let manifest = try store.manifest(id)
        let tree = try store.tree(id) { blob, directory in try Helper.run(["render"], descriptors: [blob, directory]) }
        let terminal = isatty(STDIN_FILENO) == 1 && (interactive || isatty(STDOUT_FILENO) == 1)
        let app = try PodApp(manifest, changes: changes(), root: tree.directory, terminal: terminal ? Self.terminalKind() : nil)
        do {
            let code = try start(store, id, tree, overlay: !noOverlay, app, terminal)
            if code != 0 { throw ExitCode(code) }
        } catch let error as Stage1Error where error.exitCode != 254 {
            complain(error.diagnosis.lines(program: "d2a"))
            throw ExitCode(error.exitCode)
        }
    }

    private func start(
        _ store: ImageStore, _ id: ImageID, _ tree: (directory: Directory, path: String), overlay: Bool, _ app: PodApp, _ terminal: Bool
    ) throws -> Int32 {
        let pod = try PodDirectory(in: store.root)
        do {
            if overlay {
                try pod.adoptOwner(of: tree.directory)
            } else {
                try Helper.run(["render"], descriptors: [store.blob(id), pod.directory])
            }
            let root: PodRoot = overlay ? .overlay(tree: tree.path) : .copy
            let stage1 = try Stage1(data: store.root, pod: pod, app: app, root: root, network: net, hostname: hostname, terminal: terminal)
            return try stage1.run()
        } catch Stage1Error.noOverlay where overlay {
            return try start(store, id, tree, overlay: false, app, terminal)
        } catch {
            try? pod.remove()
            throw error
        }
    }

    private func changes() throws -> AppChanges {
        var changes = AppChanges()
        changes.exec = exec
        changes.arguments = arguments
        changes.user = user
        changes.group = group
        changes.workingDirectory = workingDirectory
        changes.environment = try environment.map { try NamedValue(argument: $0) }
        return changes
    }

    /// The kind of the person's terminal, where it is a name and nothing else.
    private static func terminalKind() -> String {
        let kind = getenv("TERM").map { String(cString: $0) } ?? ""
        let isName =
            !kind.isEmpty && kind.utf8.count <= 64
            && kind.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || "0123456789-+._".unicodeScalars.contains($0)) }
        return isName ? kind : "xterm"
    }
}

extension PodNetwork: ExpressibleByArgument {}

/// Running pods needs rights that this process hasn't.
struct NotRoot: DiagnosedError {
    var diagnosis: Diagnosis { Diagnosis("running a pod needs root for now", hint: "run the command with sudo; fetching and converting work for everyone") }
}

extension ImageStore {
    /// An image of the store; a name or a file that isn't there is fetched.
    func findOrFetch(_ image: String, _ options: FetchOptions) throws -> ImageID {
        if let prefix = ImageIDPrefix(image) { return try resolve(prefix) }
        guard let reference = try ImageLocation(image).reference else { return try fetch(image, options) }
        return try resolve(reference) ?? fetch(image, options)
    }
}
