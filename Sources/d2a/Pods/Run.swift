import AppC
import ArgumentParser
import CLinux
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

/// `d2a run`: images' apps in a pod.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Run images in a pod of their own.")

    @Argument(parsing: .captureForPassthrough) var words: [String] = []

    /// What `--help` shows, and what the words are read by.
    struct Usage: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "d2a run",
            abstract: Run.configuration.abstract,
            usage: "d2a run [options] <image> [app options] [-- args] [---] [<image> ...]",
            discussion: """
                IMAGE is an ID of the store or its beginning, a name (busybox, localhost:5000/a/b:tag), or a file that docker save wrote. \
                What is not in the store is fetched first. Options of the pod may stand anywhere but among ARGS, which --- ends.

                ARGS replace the CMD of an image that came from Docker and keep its ENTRYPOINT, as docker run does, and are appended to \
                the command of any other; --exec replaces all. The first app that fails ends the pod. The exit status is its, or 128 and \
                the signal that ended it; 127 where the program isn't there, 126 where it can't be run, 254 where d2a itself failed.

                A pod stays, for d2a status and logs, until d2a rm or d2a gc; --rm removes it at its end.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var fetching: FetchOptions
        @OptionGroup(title: "Options of the pod") var pod: PodOptions
        @OptionGroup(title: "Options of this run") var runtime: RuntimeOptions
        @OptionGroup(title: "Options of an app, after its image") var app: AppOptions
    }

    /// The part of the words that isn't about one image.
    private struct Options: ParsableCommand {
        static let configuration = PodCommand.part(of: Usage.self)
        @OptionGroup var global: GlobalOptions
        @OptionGroup var pod: PodOptions
        @OptionGroup var runtime: RuntimeOptions
        @Option var uuidFileSave: String?

        init() {}

        /// The options that most runs do with, read without the parser, which takes more time than all else of a pod's start.
        /// - Parameter words: as ``CommandGrammar/split(_:)`` gives them.
        /// - Returns: nil where another is among them.
        init?(plain words: [String]) {
            (global, pod, runtime, uuidFileSave) = (.none, .none, .none, nil)
            for word in words {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                switch (parts[0], parts.dropFirst().first) {
                case ("--dir", let value?): global.dir = value
                case ("--hostname", let value?): runtime.hostname = value
                case ("--interactive", nil): runtime.interactive = true
                case ("--net", let value?): runtime.net = value
                case ("--port", let value?): pod.port.append(value)
                case ("--private-users", nil): runtime.privateUsers = true
                case ("--rm", nil): runtime.remove = true
                case ("--set-env", let value?): pod.setEnv.append(value)
                case ("--volume", let value?): pod.volume.append(value)
                default: return nil
                }
            }
        }
    }

    func run() throws {
        if PodCommand.asksForHelp(words) { return print(Usage.helpMessage()) }
        let (podWords, apps) = try PodCommand.grammar.split(words)
        let (options, fetching) = try Options(plain: podWords).map { ($0, nil) } ?? PodCommand.options(Options.self, podWords)
        if options.runtime.endWithParent { system_signal_with_parent(SIGTERM) }
        let store = try options.global.store()
        let request = try PodRequest(options.pod, apps, fetching, store)
        try UserNamespace.enter()
        var pod = try PodDirectory(in: store.root)
        defer { PodSurroundings.discard(pod, options.runtime) }
        if let file = options.uuidFileSave { try OpenFile.open(file, O_WRONLY | O_CREAT | O_TRUNC).write(pod.uuid) }
        let contents = try request.prepare(pod, store, overlay: !options.pod.noOverlay, quietly: options.runtime.statusFd != nil)
        try pod.move(to: .run)
        try PodCommand.start(pod, contents, store, options.runtime, insecure: fetching?.insecure ?? .environment)
    }
}

/// What commands that run pods share.
enum PodCommand {
    static let grammar = CommandGrammar(
        ofApp: AppOptions.names, switches: FetchOptions.switches.union(PodOptions.switches).union(RuntimeOptions.switches),
        optional: [
            "net": ("default", ["host", "none", "default", "default-restricted", "all"]), "readonly-rootfs": ("true", ["true", "false"]),
        ])

    static func asksForHelp(_ words: [String]) -> Bool { words.prefix { $0 != "--" }.contains { ["--help", "-h", "-help"].contains($0) } }

    /// Of options that are no command of their own: a part of another's isn't asked for scripts of completions, which takes a millisecond.
    static func part(of command: any ParsableCommand.Type) -> CommandConfiguration {
        CommandConfiguration(commandName: command.configuration.commandName, _superCommandName: "d2a", usage: command.configuration.usage)
    }

    /// Those about fetching are looked for only where the words make no sense without them: every option that could be there takes
    /// its time.
    static func options<Options: ParsableCommand>(_ type: Options.Type, _ words: [String]) throws -> (Options, FetchOptions?) {
        if let options = try? Options.parseAsRoot(words) as? Options { return (options, nil) }
        guard let options = try WithFetchOptions<Options>.parseAsRoot(words) as? WithFetchOptions<Options> else { throw CleanExit.helpRequest() }
        return (options.others, options.fetching)
    }

    private struct WithFetchOptions<Others: ParsableCommand>: ParsableCommand {
        static var configuration: CommandConfiguration { Others.configuration }
        @OptionGroup var others: Others
        @OptionGroup var fetching: FetchOptions
    }

    /// Runs a pod in the phase `run`, locked, to its end.
    /// - Throws: its exit status where that isn't 0.
    static func start(_ pod: PodDirectory, _ contents: PodContents, _ store: ImageStore, _ options: RuntimeOptions, insecure: InsecureOptions) throws {
        let report = try options.statusFd.map { try StatusReport(descriptor: $0) }
        var code: Int32?
        do {
            while code == nil {
                // Where no overlay can be mounted, or nothing can be shown as somebody else's, copies will do.
                do { code = try processes(pod, contents, store, options, insecure) } catch Stage1Error.noOverlay where pod.hasLayers {
                    try pod.copyRoots(of: store.root)
                } catch Stage1Error.notShifted where !pod.isShifted {
                    try pod.shiftOwners(below: PodUsers.count, to: pod.firstUser ?? 0, of: store.root)
                }
            }
            try report?.write(endOf: pod)
        } catch let error as any DiagnosedError {
            try report?.write(error, of: pod)
            guard let error = error as? Stage1Error, error.exitCode != 254 else { throw error }
            complain(error.diagnosis.lines(program: "d2a"))
            code = error.exitCode
        }
        if let code, code != 0 { throw ExitCode(code) }
    }

    private static func processes(
        _ pod: PodDirectory, _ contents: PodContents, _ store: ImageStore, _ options: RuntimeOptions, _ insecure: InsecureOptions
    ) throws -> Int32 {
        let (manifest, images) = (contents.manifest, contents.images)
        let items = manifest.apps ?? []
        if options.interactive, items.count > 1 { throw ValidationError("interactive option only supports one image") }
        if UserNamespace.isCurrent, let kind = options.stage1, kind != .builtin {
            throw ValidationError("--stage1=\(kind.rawValue) needs root: in a user namespace the built-in one runs pods")
        }
        if options.stage1 == .chroot, items.count > 1 { throw ValidationError("--stage1=chroot runs pods of one app only") }
        let apps = zip(items, images).map { item, image in item.app ?? image.app ?? App() }
        var surroundings = try PodSurroundings(pod, manifest, apps, options, insecure)
        defer { surroundings.remove() }
        let metadata = options.mdsRegister ? try pod.registerMetadata(network: surroundings.networks?.namespace) : nil
        var sockets = ActivatedSockets()
        let processes = try zip(items, images).enumerated().map { index, app in
            let (item, image) = app
            let streams = StreamModes(of: item).streams(isAlone: items.count == 1, interactive: options.interactive)
            let tree = try pod.tree(of: item.name)
            let root = try store.root.directory(tree ?? pod.path("rootfs", of: item.name))
            let app = try PodApp(
                item, of: manifest, image: image, root: root, terminal: streams.hasTerminal ? terminalKind() : nil,
                metadata: metadata)
            var process = AppProcess(app, root: tree.map { .overlay(tree: $0) } ?? .copy, streams: streams)
            process.sockets = try sockets.take(item, apps[index].ports ?? [], manifest, options)
            process.limits = try surroundings.limits(ofApp: index, named: item.name, filters: store.root)
            return process
        }
        try surroundings.tellUnenforced()
        return try Stage1(data: store.root, pod: pod, apps: processes, settings: surroundings.settings(pod, in: store.root)).run()
    }

    /// The kind of the person's terminal, where it is a name and nothing else.
    static func terminalKind() -> String {
        let kind = getenv("TERM").map { String(cString: $0) } ?? ""
        let isName =
            !kind.isEmpty && kind.utf8.count <= 64
            && kind.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || "0123456789-+._".unicodeScalars.contains($0)) }
        return isName ? kind : "xterm"
    }
}

extension ImageStore {
    /// An image of the store; a name or a file that isn't there is fetched.
    /// - Parameter signature: the file of its signature; nil where that lies beside it.
    func findOrFetch(_ image: String, _ options: FetchOptions?, signature: String? = nil) throws -> StoredImage {
        try ImageFetcher(store: self, options: options, policy: options?.pullPolicy ?? .new, signature: signature).image(image)
    }
}
