import AppC
import ArgumentParser
import Diagnostics
import Files
import Glibc
import Network
import Pod
import Program
import Store

/// `d2a list`: all pods.
struct ListPods: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the pods, those that were made last at the end.")

    @OptionGroup var global: GlobalOptions
    @Flag(help: "Show whole UUIDs, the images' IDs, and times to the second.") var full = false
    @Flag(help: "Leave out the line of headings.") var noLegend = false
    @Option(help: "json or json-pretty, or a table where it isn't given.") var format: PodFormat?

    func run() throws {
        let reports = try PodDirectory.all(in: global.store().root).map { try PodReport($0) }.sorted {
            ($0.created_at ?? 0, $0.name) < ($1.created_at ?? 0, $1.name)
        }
        if let format { return print(try CanonicalJSON.text(reports, pretty: format == .jsonPretty)) }
        var rows = reports.flatMap(rows)
        if !noLegend { rows.insert(["UUID", "APP", "IMAGE NAME"] + (full ? ["IMAGE ID"] : []) + ["STATE", "CREATED", "STARTED", "NETWORKS"], at: 0) }
        print(Table.text(rows), terminator: "")
    }

    /// A line for each app; what is the pod's stands in the first.
    private func rows(_ report: PodReport) -> [[String]] {
        let apps = report.apps.isEmpty ? [PodReport.AppReport(name: "-", image_name: "-")] : report.apps
        return apps.enumerated().map { index, app in
            let image = [app.name, printable(app.image_name)] + (full ? [app.image_id ?? "-"] : [])
            guard index == 0 else { return [""] + image + ["", "", "", ""] }
            let times = [report.created_at, report.started_at].map { $0.map { full ? Human.time($0) : Human.ago($0) } ?? "" }
            return [full ? report.name : String(report.name.prefix(8))] + image + [report.state] + times + [report.networkText]
        }
    }
}

/// `d2a status`: one pod.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show what a pod is doing, as lines of NAME=VALUE.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var which: PodArguments
    @Option(help: ArgumentHelp("Wait until the pod runs no more, for ever or for so long.", valueName: "true|duration")) var wait: Patience?
    @Option(help: ArgumentHelp("Wait until all apps of the pod run, or have ended.", valueName: "true|duration")) var waitReady: Patience?
    @Option(help: "json or json-pretty, or lines where it isn't given.") var format: PodFormat?

    func run() throws {
        let store = try global.store()
        var late: [String] = []
        for var pod in try which.pods(in: store) {
            let ready = try wait(&pod, in: store, waitReady) { try !$0.isAlive() || $0.directory.exists("ready") }
            let ended = try wait(&pod, in: store, wait) { try !$0.isAlive() }
            let report = try PodReport(pod)
            if let format {
                print(try CanonicalJSON.text(report, pretty: format == .jsonPretty))
                if !ready || !ended { late.append(pod.uuid) }
                continue
            }
            print("state=\(report.state)")
            if let time = report.created_at { print("created=\(Human.time(time))") }
            if let time = report.started_at { print("started=\(Human.time(time))") }
            if let pid = report.pid { print("pid=\(pid)") }
            if report.started_at != nil { print("exited=\(report.state != PodState.running.rawValue)") }
            if !report.networks.isEmpty { print("networks=\(report.networkText)") }
            for app in report.apps { if let code = app.exit_code { print("app-\(app.name)=\(code)") } }
            if !ready || !ended { late.append(pod.uuid) }
        }
        if !late.isEmpty {
            for uuid in late { complain("status: pod \"\(uuid)\" took longer\n") }
            throw ExitCode(254)
        }
    }

    /// - Returns: whether it came to that in time.
    private func wait(_ pod: inout PodDirectory, in store: ImageStore, _ patience: Patience?, until: (PodDirectory) throws -> Bool) throws -> Bool {
        guard let patience else { return true }
        var tries = 0
        while try !until(pod) {
            if let seconds = patience.seconds, tries >= seconds * 20 { return false }
            usleep(50_000)
            tries += 1
            pod = try PodDirectory.find(pod.uuid, in: store.root)
        }
        return true
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
        commandName: "logs",
        abstract: "Print what apps have written.",
        discussion: "Only output that was to be kept is there: d2a run … IMAGE --stdout=log --stderr=log. Of each app the last 32 to 64 MiB are kept.")

    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("Of this app only.", valueName: "name")) var app: String?
    @Flag(name: .shortAndLong, help: "Go on with what is written, until the pod ends.") var follow = false
    @Argument(help: ArgumentHelp("The pod's UUID, or its beginning.", valueName: "uuid")) var uuid: String

    func run() throws {
        var pod = try PodDirectory.find(uuid, in: global.store().root)
        let output = OpenFile(descriptor: dup(STDOUT_FILENO), path: "standard output")
        let names = try (pod.manifest().apps ?? []).map(\.name).filter { app == nil || app == $0 }
        var logs: [String: OpenFile] = [:]
        while true {
            // What was written before the end is seen after it.
            let isAlive = try follow && pod.isAlive()
            for name in names {
                logs[name] = logs[name] ?? (try? pod.directory.directory("apps/\(name)").file("log"))
                try logs[name].map { try $0.seekToData() }
                try logs[name].map { try output.write(contentsOf: $0) }
            }
            guard isAlive else { return }
            usleep(100_000)
            // A pod that removes itself at its end is gone then.
            guard let now = try? PodDirectory.find(pod.uuid, in: global.store().root) else { return }
            pod = now
        }
    }
}

extension PodDirectory {
    /// Whether the pod runs, or may yet.
    fileprivate func isAlive() throws -> Bool { [.embryo, .preparing, .prepared, .running].contains(try state()) }
}

extension OpenFile {
    /// `SEEK_DATA`, which glibc shows to GNU's programs only.
    private static let seekData: Int32 = 3

    /// Goes on behind what is no longer kept: the keeper takes the oldest part of a log away, and what follows moves up or leaves a hole
    /// before it. Where it moved, what was written in that moment is not seen.
    fileprivate func seekToData() throws {
        let place = lseek(descriptor, 0, SEEK_CUR)
        if try place > size() { return try seek(to: size()) }
        let data = lseek(descriptor, place, Self.seekData)
        try seek(to: data < 0 ? Int(place) : Int(data))
    }
}

/// How long to wait: `true`, or a duration.
struct Patience: ExpressibleByArgument {
    /// nil for as long as it takes.
    var seconds: Int?

    init?(argument: String) {
        if argument == "true" { return }
        guard argument != "false", let span = TimeSpan(argument: argument) else {
            guard argument == "false" else { return nil }
            seconds = 0
            return
        }
        seconds = span.seconds
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

    struct NetworkReport: Encodable {
        var netName: String
        var ifName: String
        var ip: String
    }

    /// `default:ip4=172.16.28.2`
    var networkText: String { networks.map { "\($0.netName):\($0.ip.contains(":") ? "ip6" : "ip4")=\($0.ip)" }.joined(separator: ", ") }

    let name: String
    let state: String
    let app_names: [String]
    let apps: [AppReport]
    /// Seconds since 1970.
    let created_at: Int?
    let started_at: Int?
    let pid: Int?
    let networks: [NetworkReport]
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
        networks = (PodNetworks.of(pod.directory)?.attachments ?? []).map {
            NetworkReport(netName: printable($0.network), ifName: $0.interface, ip: $0.addresses.first ?? "")
        }
        user_annotations = manifest?.userAnnotations
        user_labels = manifest?.userLabels
    }
}
