import AppC
import ArgumentParser
import Diagnostics
import Glibc
import Isolation
import Pod
import Program
import Stage1
import Store

/// `d2a enter`: a program in a pod that runs.
struct Enter: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enter",
        abstract: "Run a program in a pod that runs.",
        discussion: """
            It is run as root, with the environment and the capabilities of the app, in the app's root, and on a terminal of the pod's where \
            there is one here. The exit status is the program's.
            """)

    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("In this app's root. (default: the pod's only app)", valueName: "name")) var app: String?
    @Argument(help: ArgumentHelp("The pod's UUID, or its beginning.", valueName: "uuid")) var uuid: String
    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("The program and its arguments. (default: /bin/sh)", valueName: "command"))
    var command: [String] = []

    func run() throws {
        let store = try global.store()
        let pod = try PodDirectory.find(uuid, in: store.root)
        let item = try pod.app(choosing: app)
        let image = try pod.imageManifest(of: item.name)
        let isolation = try Isolation((item.app ?? image.app)?.isolators ?? [])
        var limits = AppLimits(isolation)
        limits.cgroups = try PodControlGroups.entrances(to: item.name, among: pod.controlGroups())
        if pod.stage1() == .builtin {
            limits.setLabels(isolation.labels(inPod: try Isolation(pod.manifest().isolators ?? [], pod: true)).filter(\.module.isActive))
            limits.filter = try SystemCallFilter.program(isolation.systemCalls, capabilities: limits.bounding, cache: store.root)
        }
        var words = command
        if words.first == "--" { words.removeFirst() }
        if words.isEmpty { words = ["/bin/sh"] }
        let entry = try Entry(
            pod, app: item.name, arguments: words, terminal: isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 ? PodCommand.terminalKind() : nil,
            limits: limits)
        do {
            let code = try entry.run()
            if code != 0 { throw ExitCode(code) }
        } catch let error as Stage1Error {
            complain(error.diagnosis.lines(program: "d2a"))
            throw ExitCode(error.exitCode)
        }
    }
}
