import CLinux
import Files
import Glibc
import Pod
import Subprocess

/// A program that is run in a pod that runs already, with the environment and the capabilities of one of its apps.
public struct Entry {
    private let process: Int32
    private let environment: [String]
    private let limits: AppLimits

    /// - Parameters:
    ///   - terminal: the kind of the caller's terminal, where it has one.
    ///   - limits: those of the app.
    /// - Throws: ``EntryError``, `FileError`.
    public init(_ pod: PodDirectory, app: String, terminal: String?, limits: AppLimits) throws {
        guard try pod.state() == .running, let pid = pod.number("apps/\(app)/pid") else { throw EntryError.notRunning(uuid: pod.uuid) }
        if let kind = pod.stage1(), kind == .runc || kind == .crun { throw EntryError.foreign(kind) }
        process = Int32(pid)
        let bytes = try pod.directory.directory("apps/\(app)").file("env").readAll(limit: 16 << 20)
        environment = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) } + (terminal.map { ["TERM=\($0)"] } ?? [])
        self.limits = limits
    }

    /// Enters the pod, for good, runs the program as root in `/`, and waits for it.
    /// - Returns: its exit code, or 128 and the signal that ended it.
    /// - Throws: ``Stage1Error``
    public func run(_ arguments: [String]) throws -> Int32 {
        let own = Capabilities.own()
        guard system_enter_namespaces(process) == 0, chdir("/") == 0 else { throw Stage1Error.setup(what: "can't enter the pod", code: errno) }
        // What the pod holds is a stranger's: it gets no more than the app has.
        guard system_keep_capabilities(limits.bounding.intersection(own).rawValue) == 0 else {
            throw Stage1Error.setup(what: "can't limit the capabilities", code: errno)
        }
        if limits.noNewPrivileges { system_no_new_privileges() }
        // ^C is for the program.
        for number in [SIGINT, SIGQUIT] { signal(number, SIG_IGN) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        // A program without a slash is looked for in this process's PATH, which is the app's from now on.
        clearenv()
        for variable in environment { putenv(strdup(variable)) }
        var words = arguments.map { strdup($0) } + [nil]
        var pid = pid_t()
        let code = posix_spawnp(&pid, arguments[0], nil, &attributes, &words, environ)
        guard code == 0 else { throw Stage1Error.notExecuted(program: arguments[0], code: code) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return exitCode(status)
    }
}

extension PodDirectory {
    /// Who runs it; nil where that was not written down.
    public func stage1() -> Stage1Kind? {
        (try? directory.file("stage1").readAll(limit: 64)).flatMap { Stage1Kind(rawValue: String(decoding: $0, as: UTF8.self)) }
    }
}
