import CLinux
import Files
import Glibc
import Pod
import Subprocess

/// Runs a prepared pod with the built-in stage1: namespaces of its own, a root of its own, one app.
public struct Stage1 {
    private let data: Directory
    private let pod: PodDirectory
    private let plan: [UInt8]

    /// - Parameters:
    ///   - data: the data directory, in which the pod's directory and the tree lie.
    ///   - terminal: whether the app gets a terminal of its own, relayed to standard input and output.
    /// - Throws: `FileError` where the pod's files can't be written.
    public init(
        data: Directory, pod: PodDirectory, app: PodApp, root: PodRoot, network: PodNetwork, hostname: String? = nil, terminal: Bool
    ) throws {
        self.data = data
        self.pod = pod
        let hostname = hostname ?? "d2a-\(pod.uuid.prefix(8))"
        try Self.checkHostname(hostname)
        let files = try Self.writeFiles(pod, network, hostname)
        plan = Plan(pod: pod, app: app, root: root, network: network, hostname: hostname, files: files, terminal: terminal).bytes
    }

    private static func checkHostname(_ name: String) throws(PodError) {
        guard (1...64).contains(name.utf8.count), !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "\n")) else {
            throw .unusable(what: "host name", value: name)
        }
    }

    /// Name service as the network has it: the host's files on the host's network, and a pod's own name in any case.
    private static func writeFiles(_ pod: PodDirectory, _ network: PodNetwork, _ hostname: String) throws(FileError) -> [(path: String, file: String)] {
        func write(_ name: String, _ text: String) throws(FileError) {
            let file = try pod.directory.file(name, O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(text)
        }
        func hostFile(_ path: String) -> String? {
            (try? OpenFile.open(path)).flatMap { try? $0.readAll(limit: 1 << 20) }.map { String(decoding: $0, as: UTF8.self) }
        }
        var hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        var files = [("/etc/hosts", "hosts"), ("/etc/hostname", "hostname")]
        if network == .host {
            hosts = hostFile("/etc/hosts") ?? hosts
            if let resolver = hostFile("/etc/resolv.conf") {
                try write("resolv.conf", resolver)
                files.append(("/etc/resolv.conf", "resolv.conf"))
            }
        }
        if !hosts.hasSuffix("\n") { hosts += "\n" }
        try write("hosts", hosts + "127.0.1.1\t\(hostname)\n")
        try write("hostname", hostname + "\n")
        return files
    }

    /// Starts the pod and waits for its end; signals to this process reach the app, and the app's terminal this one's.
    ///
    /// Afterwards nothing of the pod is left: no process, no mount, no directory.
    /// - Returns: the app's exit code, or 128 and the signal that ended it.
    /// - Throws: ``Stage1Error``, `SubprocessError`, `FileError`.
    public func run() throws -> Int32 {
        defer { try? pod.remove() }
        let signals = SignalQueue()
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends) == 0 else { throw FileError("make", "a socket pair") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let report = OpenFile(descriptor: ends[0], path: "stage1's report")
        let keeper = try start(reportingTo: OpenFile(descriptor: ends[1], path: report.path))
        return try supervise(keeper, report, signals)
    }

    private func start(reportingTo socket: OpenFile) throws -> pid_t {
        let planFile = try Self.memoryFile("plan")
        try plan.withUnsafeBytes { try planFile.write($0) }
        return try startProgram("d2a-stage1", [String(getpid())], descriptors: [data, socket, planFile, pod.directory], file: Self.program())
    }

    /// d2a-stage1, copied to sealed memory: whatever a pod does to the program that runs in it, the file on the host's disk is
    /// out of its reach (CVE-2019-5736).
    private static func program() throws -> OpenFile {
        let copy = try memoryFile("d2a-stage1")
        try copy.write(contentsOf: OpenFile.open(companionProgram("d2a-stage1")))
        guard withExtendedLifetime(copy, { system_seal(copy.descriptor) }) == 0 else { throw FileError("seal", copy.path) }
        return copy
    }

    private static func memoryFile(_ name: String) throws(FileError) -> OpenFile {
        let descriptor = system_memory_file(name)
        guard descriptor >= 0 else { throw FileError("create", "a file in memory") }
        return OpenFile(descriptor: descriptor, path: "\(name) in memory")
    }

    private func supervise(_ keeper: pid_t, _ report: OpenFile, _ signals: SignalQueue) throws -> Int32 {
        var terminal: Terminal?
        var failure: Stage1Error?
        var reportOpen = true
        var status: Int32 = 0

        func receive() -> Bool {
            switch Message(from: report) {
            case .terminal(let master): terminal = Terminal(master: master)
            case .failure(let error): failure = failure ?? error
            case .unknown: break
            case .end: reportOpen = false
            }
            return reportOpen
        }

        while true {
            var waiting = [pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0)]
            if reportOpen { waiting.append(pollfd(fd: report.descriptor, events: Int16(POLLIN), revents: 0)) }
            waiting += terminal?.interests ?? []
            if poll(&waiting, nfds_t(waiting.count), -1) < 0 { continue }
            for ready in waiting where ready.revents != 0 {
                if ready.fd == report.descriptor { _ = receive() }
                if ready.fd == STDIN_FILENO || ready.fd == terminal?.master.descriptor { try terminal?.handle(ready) }
            }
            guard waiting[0].revents != 0 else { continue }
            while let number = signals.next() {
                switch number {
                case SIGCHLD: break
                case SIGWINCH where terminal != nil: terminal?.resize()
                default: kill(keeper, number)
                }
            }
            if waitpid(keeper, &status, WNOHANG) == keeper { break }
        }
        while reportOpen, receive() {}
        try terminal?.drain()
        terminal?.restore()
        if let failure { throw failure }
        return exitCode(status)
    }
}

/// What d2a-stage1 says (`Sources/d2a-stage1/report.c`).
private enum Message {
    case terminal(OpenFile)
    case failure(Stage1Error)
    case unknown
    case end

    init(from socket: OpenFile) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        var descriptor: Int32 = -1
        var count = 0
        repeat { count = system_receive(socket.descriptor, &buffer, buffer.count, &descriptor) } while count < 0 && errno == EINTR
        guard count > 0 else {
            self = .end
            return
        }
        let words = buffer[..<count].split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        let code = words.count > 1 ? Int32(words[1]) ?? 0 : 0
        switch words[0] {
        case "terminal" where descriptor >= 0: self = .terminal(OpenFile(descriptor: descriptor, path: "the app's terminal"))
        case "setup" where words.count > 2: self = .failure(.setup(what: words[2], code: code))
        case "overlay": self = .failure(.noOverlay(code: code))
        case "exec" where words.count > 2: self = .failure(.notExecuted(program: words[2], code: code))
        default: self = .unknown
        }
    }
}

/// Signals to this process as something to wait for, in place of handlers. They are the app's to handle while this lives.
private final class SignalQueue {
    let descriptor: Int32
    private var before = sigset_t()

    init() {
        var set = sigset_t()
        sigemptyset(&set)
        // SIGTSTP stays: ^Z stops this process and leaves the pod running.
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH, SIGCHLD] { sigaddset(&set, number) }
        sigprocmask(SIG_BLOCK, &set, &before)
        descriptor = signalfd(-1, &set, 0o2000000 | O_NONBLOCK)  // SFD_CLOEXEC
    }

    func next() -> Int32? {
        var info = signalfd_siginfo()
        return read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) > 0 ? Int32(info.ssi_signo) : nil
    }

    deinit {
        close(descriptor)
        sigprocmask(SIG_SETMASK, &before, nil)
    }
}
