import ArgumentParser
import CLinux
import Files
import Glibc
import Pod
import Stage1
import Store

/// `d2a prepare`: a pod that is run later.
struct Prepare: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "prepare", abstract: "Prepare a pod for d2a run-prepared, and print its UUID.")

    @Argument(parsing: .captureForPassthrough) var words: [String] = []

    /// What `--help` shows.
    struct Usage: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "d2a prepare",
            abstract: Prepare.configuration.abstract,
            usage: "d2a prepare [options] <image> [app options] [-- args] [---] [<image> ...]",
            discussion: "Images, arguments and options are those of d2a run, but for those about one run, which d2a run-prepared takes.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var fetching: FetchOptions
        @OptionGroup(title: "Options of the pod") var pod: PodOptions
        @Flag(help: "Give the pod users of its own: its root is nobody outside.") var privateUsers = false
        @OptionGroup(title: "Options of an app, after its image") var app: AppOptions
    }

    /// The part of the words that isn't about one image.
    private struct Options: ParsableCommand {
        static let configuration = PodCommand.part(of: Usage.self)
        @OptionGroup var global: GlobalOptions
        @OptionGroup var pod: PodOptions
        @Flag var privateUsers = false
    }

    func run() throws {
        if PodCommand.asksForHelp(words) { return print(Usage.helpMessage()) }
        let (podWords, apps) = try PodCommand.grammar.split(words)
        let (options, fetching) = try PodCommand.options(Options.self, podWords)
        let store = try options.global.store()
        let request = try PodRequest(options.pod, apps, fetching, store)
        try UserNamespace.enter()
        var pod = try PodDirectory(in: store.root)
        _ = try request.prepare(pod, store, overlay: !options.pod.noOverlay)
        if options.privateUsers { try pod.chooseUsers(in: store.root) }
        // It may be run after the machine has started anew.
        guard system_sync_filesystem(pod.directory.descriptor) == 0 else { throw FileError("sync", pod.path) }
        try pod.move(to: .prepared)
        print(pod.uuid)
    }
}

/// `d2a run-prepared`: runs a pod that `d2a prepare` made.
struct RunPrepared: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run-prepared", abstract: "Run a pod that d2a prepare made.", discussion: "The exit status is that of d2a run.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var runtime: RuntimeOptions
    @Option(help: ArgumentHelp("What to do without: capabilities, paths, seccomp, all-run.", valueName: "option,…")) var insecureOptions: InsecureOptions?
    @Argument(help: ArgumentHelp("The pod's UUID, or its beginning.", valueName: "uuid")) var uuid: String

    func run() throws {
        let store = try global.store()
        try UserNamespace.enter()
        var pod = try PodDirectory.find(uuid, in: store.root)
        guard pod.phase == .prepared, try pod.lock() else { throw PodError.notPrepared(uuid: pod.uuid) }
        // Another may have run it, and even ended, before we had the lock.
        do { try pod.move(to: .run) } catch { throw error.code == ENOENT ? PodError.notPrepared(uuid: pod.uuid) : error }
        defer { PodSurroundings.discard(pod, runtime) }
        try PodCommand.start(pod, pod.contents(), store, runtime, insecure: insecureOptions ?? .environment)
    }
}
