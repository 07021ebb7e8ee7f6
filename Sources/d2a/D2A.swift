import AppC
import ArgumentParser
import Configuration
import Files
import Glibc
import Program
import Store

/// `d2a`: the light program. It reads the store and runs pods; whatever talks to strangers or reads their bytes is left to
/// `d2a-image`, which it starts.
@main
struct D2A: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: Rkt.isInvoked ? "rkt" : "d2a",
        abstract: "Fetch Docker and appc images and run them, without a daemon.",
        discussion: "Exit status: 0 done, 254 failed, 2 wrong usage; run passes on the app's own, or 128 and the signal that ended it.",
        // Every command has its name written out: the parser would look it up by reflection, of all commands at each start.
        subcommands: [
            Fetch.self,
            TrustKeys.self,
            Run.self,
            Prepare.self,
            RunPrepared.self,
            ListPods.self,
            Status.self,
            Logs.self,
            CatPodManifest.self,
            Enter.self,
            ExportPod.self,
            Stop.self,
            RemovePods.self,
            CollectGarbage.self,
            Image.self,
            CompareImages.self,
            Diff.self,
            BatchCommand.self,
            Cache.self,
            MetadataServiceCommand.self,
            Config.self,
            Version.self,
        ])

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        guard Rkt.isInvoked else { runProgram(Self.self, program: "d2a", failure: 254) { try command(of: words) } }
        let translated = Rkt.translate(words)
        runProgram(Self.self, program: Rkt.prefix(of: translated), failure: 254, misuse: 254) { try command(of: translated) }
    }

    /// `run` and `prepare` read their words themselves, since `--` and `---` mean something else to them. What the parser does to find
    /// a command among all takes milliseconds, which a pod's start hasn't.
    private static func command(of words: [String]) throws -> any ParsableCommand {
        switch words.first {
        case "run":
            var command = Run()
            command.words = Array(words.dropFirst())
            return command
        case "prepare":
            var command = Prepare()
            command.words = Array(words.dropFirst())
            return command
        // Their value may be left out.
        case "status": return try parseAsRoot(words.map { ["--wait", "--wait-ready"].contains($0) ? $0 + "=true" : $0 })
        default: return try parseAsRoot(words)
        }
    }
}

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where images and pods are kept. (default: $D2A_DIR, else what paths.d says, else /var/lib/d2a for root, else $XDG_DATA_HOME/d2a)",
            valueName: "path"))
    var dir: String?

    @Option(help: ArgumentHelp("This machine's configuration. (default: $D2A_LOCAL_CONFIG, else /etc/d2a and /etc/rkt)", valueName: "path"))
    var localConfig: String?
    @Option(help: ArgumentHelp("The system's configuration. (default: $D2A_SYSTEM_CONFIG, else /usr/lib/d2a and /usr/lib/rkt)", valueName: "path"))
    var systemConfig: String?
    @Option(help: ArgumentHelp("The user's configuration. (default: $D2A_USER_CONFIG, else $XDG_CONFIG_HOME/d2a or ~/.config/d2a)", valueName: "path"))
    var userConfig: String?

    /// Where none is given, without asking the parser.
    static var none: GlobalOptions {
        var options = GlobalOptions()
        (options.dir, options.localConfig, options.systemConfig, options.userConfig) = (nil, nil, nil, nil)
        return options
    }

    /// Who looks for configuration looks at these variables.
    func validate() {
        for (name, path) in [("D2A_LOCAL_CONFIG", localConfig), ("D2A_SYSTEM_CONFIG", systemConfig), ("D2A_USER_CONFIG", userConfig)] {
            if let path { setenv(name, path, 1) }
        }
    }

    func store() throws -> ImageStore { try ImageStore(path: dir ?? Self.defaultDirectory()) }

    /// Where data are unless `--dir` says otherwise.
    static func defaultDirectory() throws -> String {
        if let directory = environmentVariable("D2A_DIR") { return directory }
        let places = Rkt.isInvoked ? ConfigurationFiles.standard : ConfigurationFiles.d2a
        if let directory = try ConfigurationFiles(directories: places).dataDirectory() { return directory }
        if geteuid() == 0 { return Rkt.isInvoked ? "/var/lib/rkt" : "/var/lib/d2a" }
        if let data = environmentVariable("XDG_DATA_HOME") { return data + "/d2a" }
        return (environmentVariable("HOME") ?? "/tmp") + "/.local/share/d2a"
    }
}

extension NamedValue {
    /// `NAME=VALUE`, as options have it.
    init(argument text: String) throws {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else { throw ValidationError("\"\(text)\" is not NAME=VALUE") }
        self.init(name: String(text[..<equals]), value: String(text[text.index(after: equals)...]))
    }
}
