import AppC
import ArgumentParser
import Diagnostics
import Files
import Glibc
import Pod
import Store

/// `d2a list`: all pods.
struct ListPods: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the pods.")

    @OptionGroup var global: GlobalOptions
    @Flag(help: "Show whole UUIDs, and the images' IDs.") var full = false
    @Flag(help: "Leave out the line of headings.") var noLegend = false
    @Option(help: "json or json-pretty, or a table where it isn't given.") var format: PodFormat?

    func run() throws {
        let reports = try PodDirectory.all(in: global.store().root).map { try PodReport($0) }
        if let format { return print(try CanonicalJSON.text(reports, pretty: format == .jsonPretty)) }
        var rows = reports.flatMap(rows)
        if !noLegend { rows.insert(["UUID", "APP", "IMAGE NAME"] + (full ? ["IMAGE ID"] : []) + ["STATE", "CREATED", "STARTED"], at: 0) }
        print(Table.text(rows), terminator: "")
    }

    /// A line for each app; what is the pod's stands in the first.
    private func rows(_ report: PodReport) -> [[String]] {
        let apps = report.apps.isEmpty ? [PodReport.AppReport(name: "-", image_name: "-")] : report.apps
        return apps.enumerated().map { index, app in
            let image = [app.name, printable(app.image_name)] + (full ? [app.image_id ?? "-"] : [])
            guard index == 0 else { return [""] + image + ["", "", ""] }
            let times = [report.created_at, report.started_at].map { $0.map { Human.time($0) } ?? "" }
            return [full ? report.name : String(report.name.prefix(8))] + image + [report.state] + times
        }
    }
}

/// `d2a status`: one pod.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what a pod is doing, as lines of NAME=VALUE.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var which: PodArguments
    @Flag(help: "Wait until the pod runs no more.") var wait = false
    @Option(help: "json or json-pretty, or lines where it isn't given.") var format: PodFormat?

    func run() throws {
        let store = try global.store()
        for var pod in try which.pods(in: store) {
            while wait, [.preparing, .prepared, .running].contains(try pod.state()) {
                usleep(100_000)
                pod = try PodDirectory.find(pod.uuid, in: store.root)
            }
            let report = try PodReport(pod)
            if let format {
                print(try CanonicalJSON.text(report, pretty: format == .jsonPretty))
                continue
            }
            print("state=\(report.state)")
            if let time = report.created_at { print("created=\(Human.time(time))") }
            if let time = report.started_at { print("started=\(Human.time(time))") }
            if let pid = report.pid { print("pid=\(pid)") }
            if report.started_at != nil { print("exited=\(report.state != PodState.running.rawValue)") }
            for app in report.apps { if let code = app.exit_code { print("app-\(app.name)=\(code)") } }
        }
    }
}

/// `d2a cat-manifest`: a pod's manifest.
struct CatPodManifest: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "cat-manifest", abstract: "Print a pod's manifest.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var which: PodArguments
    @Option(help: ArgumentHelp("Whether to print it for people.", valueName: "true|false")) var prettyPrint = true

    func run() throws { for pod in try which.pods(in: global.store()) { print(try CanonicalJSON.text(pod.manifest(), pretty: prettyPrint)) } }
}

/// `d2a logs`: what an app has written, where that was to be kept.
struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print what apps have written.", discussion: "Only output that was to be kept is there: d2a run … IMAGE --stdout=log --stderr=log")

    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("Of this app only.", valueName: "name")) var app: String?
    @Argument(help: ArgumentHelp("The pod's UUID, or its beginning.", valueName: "uuid")) var uuid: String

    func run() throws {
        let pod = try PodDirectory.find(uuid, in: global.store().root)
        let output = OpenFile(descriptor: dup(STDOUT_FILENO), path: "standard output")
        for name in try (pod.manifest().apps ?? []).map(\.name) where app == nil || app == name {
            if let log = try? pod.directory.directory("apps/\(name)").file("log") { try output.write(contentsOf: log) }
        }
    }
}

enum PodFormat: String, ExpressibleByArgument {
    case json
    case jsonPretty = "json-pretty"
}

/// The pods that a command is about.
struct PodArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Read the pod's UUID from a file, which --uuid-file-save wrote.", valueName: "file")) var uuidFile: String?
    @Argument(help: ArgumentHelp("UUIDs of pods, or their beginnings.", valueName: "uuid")) var uuids: [String] = []

    func validate() throws { if uuids.isEmpty == (uuidFile == nil) { throw ValidationError("name a pod by its UUID, or by --uuid-file") } }

    func pods(in store: ImageStore) throws -> [PodDirectory] {
        let fromFile = try uuidFile.map { String(decoding: try OpenFile.open($0).readAll(limit: 4096), as: UTF8.self) }
        return try (uuids + [fromFile].compactMap { $0?.split(whereSeparator: \.isWhitespace).first.map(String.init) }).map {
            try PodDirectory.find($0, in: store.root)
        }
    }
}

/// A pod as `list` and `status` show it; the names are those of rkt's JSON.
struct PodReport: Encodable {
    struct AppReport: Encodable {
        var name: String
        var image_name: String
        var image_id: String?
        var state = "unknown"
        var exit_code: Int?
        var user_annotations: [String: String]?
        var user_labels: [String: String]?
    }

    let name: String
    let state: String
    let app_names: [String]
    let apps: [AppReport]
    /// Seconds since 1970.
    let created_at: Int?
    let started_at: Int?
    let pid: Int?
    let user_annotations: [String: String]?
    let user_labels: [String: String]?

    init(_ pod: PodDirectory) throws {
        let manifest = try? pod.manifest()
        let state = try pod.state()
        name = pod.uuid
        self.state = state.rawValue
        let codes = Dictionary(pod.exitCodes().map { ($0.app, $0.code) }, uniquingKeysWith: { $1 })
        apps = (manifest?.apps ?? []).map { app in
            let version = app.image.labels?.first { $0.name == "version" }.map { ":" + $0.value } ?? ""
            let started = pod.time(of: "apps/\(app.name)/pid") != nil
            return AppReport(
                name: app.name, image_name: (app.image.name ?? "") + version, image_id: app.image.id,
                state: codes[app.name] != nil ? "exited" : started ? (state == .running ? "running" : "exited") : "created", exit_code: codes[app.name],
                user_annotations: app.app?.userAnnotations, user_labels: app.app?.userLabels)
        }
        app_names = apps.map(\.name)
        created_at = pod.time(of: "pod").map { $0 / 1_000_000_000 }
        started_at = pod.time(of: "pid").map { $0 / 1_000_000_000 }
        pid = state == .running ? pod.number("pid") : nil
        user_annotations = manifest?.userAnnotations
        user_labels = manifest?.userLabels
    }
}
