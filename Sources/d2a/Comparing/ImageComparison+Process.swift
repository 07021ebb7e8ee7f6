import Accounts
import AppC
import ArgumentParser
import Compare
import Diagnostics
import Files
import Glibc
import Observation
import Pod
import RuntimeBundle
import Stage1
import Store
import Subprocess
import Threads

/// How an image is run to be compared.
struct ProcessOptions: ParsableArguments {
    @Flag(name: [.short, .long], help: "Give the program a terminal, as docker run -t does.") var tty = false
    @Flag(help: "Run it with a root that can't be written to.") var readOnly = false
    @Option(help: ArgumentHelp("Let the image's program run for so long before it is told to stop.", valueName: "seconds")) var runFor: Int = 5
    @Option(help: ArgumentHelp("Wait so long until a program is killed that doesn't stop.", valueName: "seconds")) var stopTimeout: Int = 5

    func validate() throws {
        guard (1...3600).contains(runFor), (1...3600).contains(stopTimeout) else {
            throw ValidationError("--run-for and --stop-timeout are numbers of seconds from 1 to 3600")
        }
    }

    var conditions: RunConditions {
        var conditions = RunConditions()
        (conditions.terminal, conditions.readOnlyRoot, conditions.patience, conditions.grace) = (tty, readOnly, runFor, stopTimeout)
        return conditions
    }
}

extension ImageComparison {
    /// Runs the probe, and then the image's own program, on both sides, without a network on either.
    /// - Parameter arguments: in place of the image's CMD.
    func process(_ arguments: [String], _ wanted: RunConditions) throws -> Part {
        guard geteuid() == 0, !UserNamespace.isCurrent else { return problem("processes are compared by root only: Docker's side runs as root") }
        let settings = try DockerSettings(Array(original.config.utf8))
        let conditions = wanted.stopping(by: settings.stopSignal)
        let tree = try store.tree(of: stored)
        defer { withExtendedLifetime(tree) {} }
        let signals = HeldSignals()
        defer { withExtendedLifetime(signals) {} }
        let found: ObservedContainer?
        do { found = try container(settings, tree.directory) } catch let refused as Refused { return problem(refused.reason) }
        guard let container = found else {
            return problem(counterpart == .auto ? "no engine answers, and neither runc nor crun is there" : "\(counterpart.rawValue) isn't there")
        }
        defer { container.forget() }
        if let title = container.title { left.title = title }

        let probe = companionProgram("d2a-probe")
        let pod = try PodProgram(stored, tree.directory, arguments)
        let run = PodRun(
            directory: try store.root.absolutePath(), image: stored.id.description)
        let scene = try ProcessScene(
            runner: container.runner, settings: settings, conditions: conditions, arguments: arguments, appName: pod.name, userName: pod.userName,
            imageResolver: pod.resolver, host: .current(HostProbe.run(probe)))
        let unhurried = conditions.waiting(seconds: 120)
        var sides = try Self.both(
            { try container.run(arguments, probe: probe, unhurried) },
            // What has no program runs none, and so no probe in its place.
            { try pod.words.isEmpty ? .refused("there is nothing to run") : run.run([], probe: (probe, pod.words), unhurried) }
        ).map { ProcessSide(surroundings: $0.refusal == nil ? try Surroundings($0.output.beginning) : nil, refusal: $0.refusal) }
        let records = try Self.both({ try container.run(arguments, probe: nil, conditions) }, { try run.run(arguments, probe: nil, conditions) })
        for index in sides.indices { sides[index].run = records[index] }
        let part = Part(.process, left: container.description, right: "a process in a pod")
        return ProcessComparison.compare(sides[0], sides[1], scene, into: part)
    }

    private func problem(_ text: String) -> Part {
        var part = Part(.process, left: "a process in a container", right: "a process in a pod")
        part.add(problem: text)
        return part
    }

    /// What can't be watched alone needn't wait: both sides at once.
    private static func both(_ one: @escaping @Sendable () throws -> RunRecord, _ other: @escaping @Sendable () throws -> RunRecord) throws -> [RunRecord] {
        let records = Monitor<[RunRecord?]>([nil, nil])
        try parallel(count: 2, workers: 2) { index in
            let record = try index == 0 ? one() : other()
            records.update { $0[index] = record }
        }
        return records.update { $0.compactMap { $0 } }
    }

    /// The engine doesn't take the image.
    private struct Refused: Error { var reason: String }

    /// Whoever there is, of those that were asked for.
    private func container(_ settings: DockerSettings, _ tree: Directory) throws -> ObservedContainer? {
        if let engine, let version = try engine.version() {
            let name = engine.newImageName()
            let archive = try work.directory.unnamedFile()
            _ = try Self.original(location, text, options, ["--archive", "--name=\(name)"], archive: archive, in: work.directory)
            let load = try engine.load(archive, name, id: original.id)
            if let refusal = load.refusal { throw Refused(reason: "\(engine.name) refuses the image: \(refusal)") }
            return .engine(engine, image: load.isNew ? name : original.id, isNew: load.isNew, version: version)
        }
        for runtime in OCIRuntime.allCases where counterpart == .auto || counterpart.rawValue == runtime.rawValue {
            guard (try? programOnPath(runtime.rawValue)) != nil else { continue }
            return .runtime(runtime, settings, tree, scratch: try work.directory.make("process", mode: 0o700))
        }
        return nil
    }
}

/// Docker's side.
private enum ObservedContainer: Sendable {
    case engine(ComparedEngine, image: String, isNew: Bool, version: String)
    case runtime(OCIRuntime, DockerSettings, Directory, scratch: Directory)

    var title: String? {
        switch self {
        case .engine(let engine, _, _, let version): "\(engine.name) \(version)"
        case .runtime(let runtime, _, _, _): "Docker's defaults under \(runtime.rawValue)"
        }
    }

    var description: String {
        switch self {
        case .engine: "a process in the engine's container"
        case .runtime(let runtime, _, _, _): "a process under \(runtime.rawValue), as Docker documents it"
        }
    }

    var runner: ContainerRunner {
        switch self {
        case .engine(let engine, _, _, _): engine.name == "podman" ? .podman : .docker
        case .runtime(.runc, _, _, _): .runc
        case .runtime(.crun, _, _, _): .crun
        }
    }

    func run(_ arguments: [String], probe: String?, _ conditions: RunConditions) throws -> RunRecord {
        switch self {
        case .engine(let engine, let image, _, _): return try engine.run(image, arguments, probe: probe, conditions)
        case .runtime(let runtime, let settings, let tree, let scratch):
            return try RuntimeContainer(runtime, settings: settings, tree: tree, scratch: scratch).run(arguments, probe: probe, conditions)
        }
    }

    func forget() {
        if case .engine(let engine, let image, true, _) = self { engine.forget(image) }
    }
}

/// What the image's program is in a pod.
private struct PodProgram {
    let name: String
    let words: [String]
    let userName: String?
    let resolver: [UInt8]?

    init(_ image: StoredImage, _ tree: Directory, _ arguments: [String]) throws {
        var changes = AppChanges()
        changes.arguments = arguments
        // An image without a program is refused by both sides, in the words of each.
        let app = try? PodManifestApp(image.manifest, id: image.id.description, changes: changes)
        (name, words) = (app?.name ?? "", app?.app?.exec ?? [])
        func content(_ path: String) -> [UInt8]? {
            guard let file = try? tree.inside(path), let status = try? file.status(), status.st_mode & S_IFMT == S_IFREG else { return nil }
            return try? file.readAll(limit: 4 << 20)
        }
        userName = (image.manifest.app?.user).flatMap { UserEntry.find($0, in: content("etc/passwd") ?? []) }?.name
        resolver = content("etc/resolv.conf")
    }
}

extension HostView {
    fileprivate static func current(_ surroundings: Surroundings) throws -> HostView {
        let processors = try OpenFile.open("/sys/devices/system/cpu/online").readAll(limit: 4096)
        return HostView(
            surroundings: surroundings, terminalKind: PodCommand.terminalKind(), hasUnifiedGroups: access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0,
            processors: String(decoding: processors.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self), isRootless: geteuid() != 0)
    }
}
