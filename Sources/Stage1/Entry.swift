import AppC
import CLinux
import Files
import Glibc
import Pod
import Subprocess

/// A program that is run in a pod that runs already, with the environment and the capabilities of one of its apps.
public struct Entry {
    private let plan: Plan

    /// - Parameters:
    ///   - arguments: a program and its arguments; one without a slash is looked for in the app's `PATH`.
    ///   - terminal: the kind of the caller's terminal, where it has one.
    ///   - limits: those of the app. What the pod holds is a stranger's: a program of it gets no more than the app has.
    /// - Throws: ``EntryError``, `FileError`.
    public init(_ pod: PodDirectory, app: String, arguments: [String], terminal: String?, limits: AppLimits) throws {
        guard let pid = pod.number("apps/\(app)/pid"), case let descriptor = system_open_process(Int32(pid)), descriptor >= 0 else {
            throw EntryError.notRunning(uuid: pod.uuid)
        }
        let process = OpenFile(descriptor: descriptor, path: "the app's process")
        // Only now: as long as the pod runs, the number is no other's.
        guard try pod.state() == .running else { throw EntryError.notRunning(uuid: pod.uuid) }
        if case let kind = pod.stage1(), kind == .runc || kind == .crun { throw EntryError.foreign(kind) }
        let bytes = try pod.directory.directory("apps/\(app)").file("env").readAll(limit: 16 << 20)
        var environment = bytes.split(separator: 0).map { entry in
            let parts = entry.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            return NamedValue(name: String(decoding: parts[0], as: UTF8.self), value: parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : "")
        }
        if let terminal { environment = environment.filter { $0.name != "TERM" } + [NamedValue(name: "TERM", value: terminal)] }
        var limits = limits
        // Anyone but root has no rights before the entry, and all of them behind it.
        if geteuid() == 0 { limits.bounding = limits.bounding.intersection(.own()) }
        plan = try Plan(
            entering: process, namespaces: Self.namespaces(of: pid), arguments: arguments, environment: environment, terminal: terminal != nil,
            limits: limits)
    }

    /// The namespaces of a process in which this one isn't, as flags of setns(2): entering one's own needs rights over it.
    private static func namespaces(of process: Int) -> Int {
        let kinds = [
            ("user", 0x1000_0000), ("mnt", 0x0002_0000), ("cgroup", 0x0200_0000), ("uts", 0x0400_0000), ("ipc", 0x0800_0000), ("pid", 0x2000_0000),
            ("net", 0x4000_0000),
        ]
        return kinds.reduce(0) { flags, kind in
            var (ours, theirs) = (stat(), stat())
            let same = stat("/proc/self/ns/\(kind.0)", &ours) == 0 && stat("/proc/\(process)/ns/\(kind.0)", &theirs) == 0 && ours.st_ino == theirs.st_ino
            return same ? flags : flags | kind.1
        }
    }

    /// Runs the program as root in `/`, and waits for it: signals to this process reach it, and its terminal this one's. d2a itself never enters: a pod could reach its file (CVE-2019-5736).
    /// - Returns: its exit code, or 128 and the signal that ended it.
    /// - Throws: ``Stage1Error``, `SubprocessError`, `FileError`.
    public func run() throws -> Int32 {
        let signals = SignalQueue()
        let nothing = try OpenFile.open("/dev/null")
        let (child, report) = try Stage1.launch("enter", plan, data: nothing, directory: nothing)
        return try Stage1.supervise(child, report, signals)
    }
}

extension PodDirectory {
    /// Who runs it.
    public func stage1() -> Stage1Kind {
        (try? directory.file("stage1").readAll(limit: 64)).flatMap { Stage1Kind(rawValue: String(decoding: $0, as: UTF8.self)) } ?? .builtin
    }
}
