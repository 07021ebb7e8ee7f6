import AppC
import ArgumentParser
import CLinux
import Engine
import Files
import Glibc
import Observation
import Sandbox
import Threads

/// Takes what a program writes. Descriptors: 3 the report, 4 and up what to read.
struct CaptureHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "capture")

    @Argument(help: "How many streams there are.") var count: Int32
    @Option(help: "Keep so many bytes of the beginning of each.") var limit: Int

    func run() throws {
        // What is under way when d2a is told to stop is still taken in: the end of the streams is the end of this.
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        let streams = (0..<count).map { OpenFile(descriptor: 4 + $0, path: "the program's output") }
        try becomeNobody()
        try Sandbox().enter()
        try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(OutputRecorder.record(streams, limit: limit)))
    }
}

/// Which engine is asked. It is spoken to as whoever called d2a, since nobody else may.
struct EngineOptions: ParsableArguments {
    @Option(help: "Where the engine is; $DOCKER_HOST where it isn't said.") var at: String?

    func enter() throws -> EngineClient {
        system_no_new_privileges()
        let address = try EngineAddress(at: at)
        try Sandbox(network: true).enter()
        return EngineClient(address)
    }
}

/// Which engine it is. Descriptor 3: the report.
struct EngineVersionHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-version")

    @OptionGroup var engine: EngineOptions
    @Option(help: "End so, and say nothing, where there is none.") var missing: Int32?

    func run() throws {
        let client = try engine.enter()
        do {
            try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(client.version().version))
        } catch EngineError.unreachable where missing != nil { throw ExitCode(missing!) }
    }
}

/// Gives the engine an image that it hasn't. Descriptors: 3 the report (``EngineLoad``); 4 the archive.
struct EngineLoadHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-load")

    @OptionGroup var engine: EngineOptions
    @Argument(help: "What the image is called in the archive.") var name: String
    @Option(help: "What Docker calls it: the digest of its configuration.") var id: String

    func run() throws {
        let client = try engine.enter()
        var load = EngineLoad(isNew: try client.image(id) == nil)
        if load.isNew {
            do { try client.load(OpenFile(descriptor: 4, path: "the archive")) } catch EngineError.refused(_, _, let reason) { load.refusal = reason }
        }
        try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(load))
    }
}

/// What comparisons that were killed may have left in the engine, by the marks of those who made it (``EngineLeftover``). Descriptor 3: the report.
struct EngineLeftoversHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-leftovers")

    @OptionGroup var engine: EngineOptions

    func run() throws {
        let client = try engine.enter()
        var found: [EngineLeftover] = []
        // Nobody has to be there, and who doesn't say what there is isn't asked again.
        if let containers = try? client.containers(labelled: EngineLeftover.label) {
            found += containers.map { EngineLeftover(container: $0.id, mark: $0.value) }
        }
        if let tags = try? client.tags(of: EngineLeftover.imageName) {
            found += tags.map { EngineLeftover(image: $0, mark: String($0.dropFirst(EngineLeftover.imageName.utf8.count + 1))) }
        }
        try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(found))
    }
}

/// Takes a name from an image of the engine's, or a container away.
struct EngineForgetHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-forget")

    @OptionGroup var engine: EngineOptions
    @Flag var container = false
    @Argument var name: String

    func run() throws {
        let client = try engine.enter()
        if container { try client.remove(name) } else { try client.removeImage(name) }
    }
}

/// Runs an image, or the probe in its place, in a container that goes afterwards. Descriptors: 3 the report, 4 what to run.
struct EngineRunHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-run")

    @OptionGroup var engine: EngineOptions

    func run() throws {
        let run = try CanonicalJSON.decode(EngineRun.self, from: OpenFile(descriptor: 4, path: "d2a").readAll(limit: 16 << 20))
        let container = EngineContainer(client: try engine.enter(), run: run)
        let record: RunRecord
        do { record = try container.record() } catch EngineError.refused(_, _, let reason) { record = .refused(reason) }
        try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(record))
    }
}

/// One container of the engine's, from its making to its end.
private struct EngineContainer {
    let client: EngineClient
    let run: EngineRun

    private var conditions: RunConditions { run.conditions }

    /// - Throws: ``EngineError/refused(name:status:reason:)`` where the engine doesn't make or start it.
    func record() throws -> RunRecord {
        var request = EngineClient.ContainerRequest(image: run.image)
        if !run.arguments.isEmpty { request.command = run.arguments }
        (request.terminal, request.host.readOnlyRoot) = (conditions.terminal, conditions.readOnlyRoot)
        request.labels = [EngineLeftover.label: run.mark]
        var id = try client.create(request)
        defer { try? client.remove(id) }
        if let probe = run.probe {
            // What the image's program would be told is the engine's to say.
            let image = try client.inspect(id)
            try client.remove(id)
            (request.entrypoint, request.command) = ([RunConditions.probePath], image.words)
            request.host.mounts = [.init(source: probe, target: RunConditions.probePath)]
            id = try client.create(request)
        }
        let streams = AttachedStreams(client, id, terminal: conditions.terminal, limit: run.probe == nil ? OutputRecord.limit : 4 << 20)
        do {
            try streams.awaitBeginning()
            try client.start(id)
        } catch {
            // Ends the answer that the streams come by.
            try? client.remove(id)
            throw error
        }
        let began = monotonicSeconds()
        // It may have ended already.
        if conditions.terminal { try? client.resize(id, rows: RunConditions.terminalSize.rows, columns: RunConditions.terminalSize.columns) }
        var record = RunRecord()
        record.stop = try supervise(id, began)
        let state = try client.inspect(id).state
        record.milliseconds = Int((monotonicSeconds() - began) * 1000)
        if state.error.isEmpty { record.status = state.exitCode } else { record.refusal = state.error }
        (record.output, record.errors) = try streams.finish()
        return record
    }

    private func supervise(_ id: String, _ began: Double) throws -> RunRecord.Stop? {
        func ended(by deadline: Double) throws -> Bool {
            var pause: UInt32 = 10_000
            while try client.inspect(id).state.running {
                if monotonicSeconds() > deadline { return false }
                usleep(pause)
                pause = min(pause * 2, 100_000)
            }
            return true
        }
        if try ended(by: began + Double(conditions.patience)) { return nil }
        // Either may find that it has just ended.
        try? client.kill(id, signal: String(conditions.stopSignal.number))
        if try ended(by: monotonicSeconds() + Double(conditions.grace)) { return .ended }
        try? client.kill(id)
        _ = try ended(by: monotonicSeconds() + 60)
        return .killed
    }
}

/// What a container writes, taken by a thread.
private final class AttachedStreams: Sendable {
    private struct State {
        var hasBegun = false
        var hasEnded = false
        var failure: (any Error)?
        var records = (OutputRecord(), OutputRecord())
    }
    private let state = Monitor(State())

    init(_ client: EngineClient, _ id: String, terminal: Bool, limit: Int) {
        let state = state
        WorkerThread {
            let recorders = (OutputRecorder(limit: limit), OutputRecorder(limit: limit))
            var failure: (any Error)?
            do {
                try client.attach(id, terminal: terminal, began: { state.update { $0.hasBegun = true } }) { stream, bytes in
                    (stream == 2 ? recorders.1 : recorders.0).take(bytes)
                }
            } catch let error { failure = error }
            let records = (recorders.0.finish(), recorders.1.finish())
            state.update { ($0.hasEnded, $0.failure, $0.records) = (true, failure, records) }
        }.detach()
    }

    func awaitBeginning() throws {
        try state.wait { state -> Void? in
            if let failure = state.failure { throw failure }
            return state.hasBegun || state.hasEnded ? () : nil
        }
    }

    func finish() throws -> (OutputRecord, OutputRecord) {
        try state.wait { state in
            if let failure = state.failure { throw failure }
            return state.hasEnded ? state.records : nil
        }
    }
}
