import AppC
import ArgumentParser
import Compare
import Diagnostics
import Files
import Glibc
import Listing
import Location
import Program
import Stage1
import Store

/// `d2a compare`: how Docker and d2a treat the same image.
struct CompareImages: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Show how Docker and d2a, with rocket's rules, treat the same image.",
        discussion: """
            Three parts: what becomes of each field of the configuration; the tree that Docker shows beside the one that pods see; and what a process finds in \
            each. IMAGE is a Docker image as d2a fetch takes it. Without an engine the tree is what umoci unpacks. Why sides differ, rule by rule: --rules, \
            and docs/docker-vs-rocket.md. Exit status: 0 the same in all that matters, 1 different, 2 not all could be compared.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var report: ReportOptions
    @Option(help: ArgumentHelp("Whom to compare with: docker, podman, runc, crun or auto, which takes the first that is there.", valueName: "runtime"))
    var with: Counterpart = .auto
    @Option(help: ArgumentHelp("Compare all images of a file, a line each; - is standard input.", valueName: "list")) var all: String?
    @Flag(help: "Print the rules that explain differences, as Markdown.") var rules = false
    @OptionGroup(title: "How the image is run") var process: ProcessOptions
    @OptionGroup var fetching: FetchOptions
    @Argument(help: ArgumentHelp("What to compare.", valueName: "image")) var image: String?
    @Argument(parsing: .postTerminator, help: ArgumentHelp("Words that replace the image's CMD.", valueName: "arg")) var arguments: [String] = []

    func validate() throws {
        guard [image != nil, all != nil, rules].count(where: { $0 }) == 1 else { throw ValidationError("name an image, or give --all LIST") }
    }

    func run() throws {
        if rules { return print(RulesPage.markdown, terminator: "") }
        try Self.prepare(with, try report.parts())
        try compare()
    }

    /// To be called before there are other threads. Takes away what the dead have left; and lets anyone but root unpack files of others, in a user
    /// namespace, where there is no engine to do it.
    static func prepare(_ counterpart: Counterpart, _ parts: [PartName]?) throws {
        let engine = ComparedEngine(counterpart)
        guard geteuid() != 0, (parts ?? PartName.allCases).contains(.filesystem), UserNamespace.hasOthers, try engine?.version() == nil else {
            engine?.sweep()
            return
        }
        // What is found by who one is must be found as before; a cache would be given to nobody of the namespace, which nobody else is.
        setenv("D2A_DIR", try GlobalOptions.defaultDirectory(), 1)
        setenv("D2A_CACHE", "/dev/null/cache", 1)
        // Where that is forbidden the part of the file system says so.
        try? UserNamespace.enter()
    }

    /// - Throws: `ExitCode`, unless all are the same.
    func compare() throws {
        let store = try global.store()
        if let all { return try report.reports(try Self.list(all)) { try compare($0, store) } }
        try report.report { try compare(image!, store) }
    }

    /// Names of images, a line each, without empty lines and those that begin with `#`.
    private static func list(_ path: String) throws -> [String] {
        let file = path == "-" ? OpenFile(descriptor: dup(STDIN_FILENO), path: "standard input") : try OpenFile.open(path)
        return String(decoding: try file.readAll(limit: 64 << 20), as: UTF8.self).split(whereSeparator: \.isNewline)
            .map { $0.drop { $0 == " " || $0 == "\t" } }
            .filter { !$0.isEmpty && !$0.hasPrefix("#") }.map(String.init)
    }

    private func compare(_ text: String, _ store: ImageStore) throws -> Report {
        let comparison = try ImageComparison(text, store, fetching, with)
        var result = Report(.compare, subject: text, left: comparison.left, right: comparison.right)
        for name in try report.parts() ?? PartName.allCases {
            switch name {
            case .manifest: result.parts.append(try comparison.manifest())
            case .filesystem:
                result.parts.append(try comparison.filesystem())
                result.left = comparison.left
            case .process:
                result.parts.append(try comparison.process(arguments, process.conditions))
                result.left = comparison.left
            }
        }
        return result
    }
}

/// Whom d2a is compared with.
enum Counterpart: String, ExpressibleByArgument, CaseIterable {
    case docker, podman, runc, crun, auto

    /// Whether an engine shows its tree.
    var isEngine: Bool { [.docker, .podman, .auto].contains(self) }

    /// Where the engine is; nil for what the environment says.
    var address: String? {
        guard self == .podman else { return nil }
        return environmentVariable("CONTAINER_HOST") ?? "unix:///run/podman/podman.sock"
    }
}
