import AppC
import ArgumentParser
import Diagnostics
import Files
import Glibc
import Pod

/// What `--status-fd` tells: one line of JSON when the pod has ended.
///
/// An exit status can't say whether an app was killed or ended with 137, nor whether it or d2a itself said 127.
struct StatusReport {
    private struct Line: Encodable {
        struct App: Encodable {
            var name: String
            var exitCode: Int?
            /// What ended it, where it didn't end by itself.
            var signal: Int?
        }
        var uuid: String
        var apps: [App]?
        /// Why the pod, or its app, wasn't started.
        var error: String?
    }

    private let file: OpenFile

    /// - Throws: `ValidationError` where nothing is open there.
    init(descriptor: Int32) throws {
        guard descriptor > 2, fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else {
            throw ValidationError("--status-fd \(descriptor): no such descriptor is open")
        }
        file = OpenFile(descriptor: descriptor, path: "descriptor \(descriptor)")
    }

    func write(endOf pod: PodDirectory) throws {
        let apps = (try pod.manifest().apps ?? []).map { app in
            let numbers = pod.numbers("apps/\(app.name)/status")
            // An app of whose end nothing is known went with the pod, which was killed.
            let signal = numbers.count > 1 ? numbers[1] : numbers.isEmpty ? Int(SIGKILL) : nil
            return Line.App(name: app.name, exitCode: signal == nil ? numbers.first : nil, signal: signal)
        }
        try write(Line(uuid: pod.uuid, apps: apps))
    }

    func write(_ error: any DiagnosedError, of pod: PodDirectory) throws { try write(Line(uuid: pod.uuid, error: error.diagnosis.message)) }

    private func write(_ line: Line) throws { try file.write(CanonicalJSON.text(line) + "\n") }
}
