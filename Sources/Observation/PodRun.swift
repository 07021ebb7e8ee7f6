import AppC
import Files
import Glibc
import Subprocess
import Threads

/// Runs an image of the store in a pod, by `d2a run`, without a network; nothing of the pod stays.
public struct PodRun: Sendable {
    /// d2a.
    public var program: String
    /// Of its data.
    public var directory: String
    /// The image's ID.
    public var image: String

    public init(program: String = programPath(), directory: String, image: String) {
        (self.program, self.directory, self.image) = (program, directory, image)
    }

    private struct Report: Decodable {
        struct App: Decodable {
            var exitCode: Int32?
            var signal: Int32?
        }
        var apps: [App]?
        var error: String?
    }

    /// - Parameters:
    ///   - arguments: in place of the image's CMD.
    ///   - probe: the path of d2a-probe, and what it is to be told in place of the image's program.
    /// - Throws: ``ObservationError``, `FileError`, `SubprocessError`.
    public func run(_ arguments: [String], probe: (path: String, arguments: [String])?, _ conditions: RunConditions) throws -> RunRecord {
        var words = [
            "run", "--dir=\(directory)", "--rm", "--net=none", "--status-fd=3", "--uuid-file-save=/proc/self/fd/4", "--stop-timeout=\(conditions.grace)",
            "--end-with-parent",
        ]
        if conditions.terminal { words.append("--interactive") }
        if let probe { words.append("--volume=d2a-probe,kind=host,source=\(probe.path),readOnly=true") }
        words.append(image)
        if conditions.readOnlyRoot { words.append("--readonly-rootfs=true") }
        if probe != nil { words += ["--mount=volume=d2a-probe,target=\(RunConditions.probePath)", "--exec=\(RunConditions.probePath)"] }
        let given = probe?.arguments ?? arguments
        if !given.isEmpty { words += ["--"] + given }

        let (report, uuid) = (try OpenFile.inMemory("report"), try OpenFile.inMemory("uuid"))
        let limit = probe == nil ? OutputRecord.limit : 4 << 20
        var terminal = conditions.terminal ? try NewTerminal() : nil
        let streams = try terminal.map { try CapturedStreams(master: $0.master, slave: $0.slave, limit: limit) } ?? CapturedStreams(limit: limit)
        let process = try startProgram(program, words, descriptors: [report, uuid], streams: streams.own)
        terminal = nil
        streams.handOver()
        // Making a pod takes its time, which is not the program's.
        try Supervision.await(process) { Self.isReady(uuid, in: directory) }
        let began = monotonicSeconds()
        var record = RunRecord()
        let signal = conditions.stopSignal.number
        // After TERM the pod itself kills what is still there when the time is up; a second one then does no harm.
        let supervision = Supervision(process: process, conditions: conditions, stop: { _ = kill(process, signal) }, kill: { _ = kill(process, SIGTERM) })
        var status: Int32 = 0
        defer { if status == 0 { waitpid(process, nil, WNOHANG) } }
        record.stop = try supervision.run()
        record.milliseconds = Int((monotonicSeconds() - began) * 1000)
        waitpid(process, &status, 0)
        let captured = try streams.finish()
        try report.seek(to: 0)
        guard let ending = try? CanonicalJSON.decode(Report.self, from: report.readAll(limit: 1 << 20)) else {
            return .refused(String(decoding: captured.errors.beginning.isEmpty ? captured.output.beginning : captured.errors.beginning, as: UTF8.self))
        }
        if let error = ending.error { return .refused(error) }
        record.status = ending.apps?.first?.exitCode ?? ending.apps?.first?.signal.map { 128 + $0 }
        record.signal = ending.apps?.first?.signal
        if record.stop != nil, record.signal == SIGKILL { record.stop = .killed }
        (record.output, record.errors) = captured
        return record
    }

    /// Whether the pod's app runs, or has run (`PodDirectory`).
    private static func isReady(_ file: OpenFile, in directory: String) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        guard let count = try? bytes.withUnsafeMutableBytes({ try file.read(into: $0, at: 0) }), count > 0 else { return false }
        let uuid = String(decoding: bytes[..<count].prefix { $0 > UInt8(ascii: " ") }, as: UTF8.self)
        return access("\(directory)/pods/run/\(uuid)/ready", F_OK) == 0
    }
}
