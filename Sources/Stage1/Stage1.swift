import CLinux
import Files
import Glibc
import Pod
import Subprocess

/// Runs a prepared pod with the built-in stage1: namespaces of its own, and for each app a root of its own.
public struct Stage1 {
    private let data: Directory
    private let pod: PodDirectory
    private let plan: Plan

    /// - Parameters:
    ///   - data: the data directory, in which the pod's directory and the trees lie.
    ///   - pod: locked, with the directories of its apps and volumes.
    /// - Throws: `PodError`, `FileError` where the pod's files can't be written.
    public init(data: Directory, pod: PodDirectory, apps: [AppProcess], settings: PodSettings) throws {
        (self.data, self.pod) = (data, pod)
        let name = settings.hostname
        guard (1...64).contains(name.utf8.count), !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "\n")) else {
            throw PodError.unusable(what: "host name", value: name)
        }
        if settings.stage1 != .builtin { try pod.directory.file("stage1", O_WRONLY | O_CREAT | O_TRUNC).write(settings.stage1.rawValue) }
        for app in apps {
            let text = app.app.environment.map { "\($0.name)=\($0.value)\0" }.joined()
            try pod.app(app.app.name).file("env", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).write(text)
        }
        if apps.count > 1 { _ = try pod.directory.make("shm") }
        let files = try Self.writeFiles(pod, settings)
        let places = try Self.mountPlaces(data, files.map(\.file))
        plan = try Plan(pod: pod, apps: apps, settings: settings, files: files, places: places) { stream, app in
            guard case .log = stream else { return try OpenFile.open("/dev/null", O_RDWR) }
            return try pod.app(app.name).file("log", O_WRONLY | O_CREAT | O_APPEND, mode: 0o640)
        }
    }

    private static func writeFiles(_ pod: PodDirectory, _ settings: PodSettings) throws(FileError) -> [(path: String, file: String)] {
        var files: [(path: String, file: String)] = []
        for (name, text) in [("hosts", settings.hosts), ("hostname", settings.hostname + "\n"), ("resolv.conf", settings.resolver)] {
            guard let text else { continue }
            let file = try pod.directory.file(name, O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(text)
            // Whatever the umask is: all users of the pod read them.
            guard withExtendedLifetime(file, { fchmod(file.descriptor, 0o644) }) == 0 else { throw FileError("set the mode of", file.path) }
            files.append(("/etc/\(name)", name))
        }
        return files
    }

    /// A tree of what all apps have mounted on: made once, so that pods whose images lack it need not each make and remove it.
    /// - Parameter files: names in `/etc`.
    /// - Returns: its path, relative to the data directory.
    private static func mountPlaces(_ data: Directory, _ files: [String]) throws(FileError) -> String {
        let name = (["etc"] + files).joined(separator: "+")
        let path = "cas/places/\(name)"
        if data.exists(path) { return path }
        let all = try data.make("cas/places")
        PendingFile.sweep(all)
        let (places, temporary) = try all.makePrivate()
        for directory in ["dev", "proc", "sys", "tmp", "etc"] { _ = try places.make(directory) }
        for file in files { _ = try places.directory("etc").file(file, O_WRONLY | O_CREAT) }
        // Whatever the umask is: all apps see them.
        let modes: [(String, mode_t)] = [(".", 0o755), ("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("tmp", 0o1777), ("etc", 0o755)]
        try withExtendedLifetime(places) { () throws(FileError) in
            for (name, mode) in modes + files.map({ ("etc/\($0)", 0o644) }) {
                guard fchmodat(places.descriptor, name, mode, 0) == 0 else { throw FileError("set the mode of", "\(places.path)/\(name)") }
            }
        }
        do { try all.rename(temporary, to: all, as: name) } catch {
            // Somebody else was faster.
            try all.removeTree(temporary)
            guard error.code == EEXIST || error.code == ENOTEMPTY else { throw error }
        }
        return path
    }

    /// Starts the pod and waits for its end; signals to this process reach the apps, and an app's terminal this one's.
    ///
    /// Afterwards no process and no mount of the pod is left.
    /// - Returns: the exit code of the first app that failed, or 128 and the signal that ended it; 0 where none did.
    /// - Throws: ``Stage1Error``, `SubprocessError`, `FileError`.
    public func run() throws -> Int32 {
        let signals = SignalQueue()
        let (keeper, report) = try Self.launch(String(getpid()), plan, data: data, directory: pod.directory)
        return try Self.supervise(keeper, report, signals)
    }

    /// Starts d2a-stage1.
    /// - Parameter word: the process to die with, or what else it is to do (`Sources/d2a-stage1/main.c`).
    /// - Returns: its process, and the socket by which it tells of failures.
    static func launch(_ word: String, _ plan: Plan, data: any DescriptorOwner, directory: any DescriptorOwner) throws -> (process: pid_t, report: OpenFile) {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0, &ends) == 0 else { throw FileError("make", "a socket pair") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (report, socket) = (OpenFile(descriptor: ends[0], path: "stage1's report"), OpenFile(descriptor: ends[1], path: "stage1's report"))
        let descriptors: [any DescriptorOwner] = [data, socket, try OpenFile.inMemory("plan", plan.bytes), directory] + plan.descriptors
        // The view is closed while the program runs already: that takes the kernel a while.
        let program = try program()
        return try withExtendedLifetime(program) { (try startProgram("d2a-stage1", [word], descriptors: descriptors, file: program.file), report) }
    }

    /// d2a-stage1, so that whatever a pod does to the program that runs in it, the file on the host's disk is out of its reach
    /// (CVE-2019-5736): through a read-only overlay that only this process has, or where none can be had, as a copy in sealed memory,
    /// which costs time and memory for each pod.
    private static func program() throws -> (file: OpenFile, view: Directory?) {
        let place = try Directory.holding(companionProgram("d2a-stage1"))
        // The second layer is there because older kernels want one.
        let view = withExtendedLifetime(place) { system_read_only_overlay("/proc/self/fd/\(place.directory.descriptor):/dev", 0) }
        if view >= 0 {
            let directory = Directory(descriptor: view, path: place.directory.path)
            if let file = try? directory.file(place.name) { return (file, directory) }
        }
        let copy = try OpenFile.inMemory("d2a-stage1")
        try copy.write(contentsOf: place.directory.file(place.name))
        guard withExtendedLifetime(copy, { system_seal(copy.descriptor) }) == 0 else { throw FileError("seal", copy.path) }
        return (copy, nil)
    }

    /// Waits for the end of a process of d2a-stage1; signals to this process reach it, and its terminal this one's.
    static func supervise(_ keeper: pid_t, _ report: OpenFile, _ signals: SignalQueue) throws -> Int32 {
        var terminal: Terminal?
        var failure: Stage1Error?
        var reportOpen = true
        var status: Int32 = 0

        func receive() -> Bool {
            switch Message(from: report) {
            case .terminal(let master):
                terminal = Terminal(master: master)
                signals.add(SIGTSTP)
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
                case SIGTSTP: terminal?.suspend()
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
enum Message {
    case terminal(OpenFile)
    case failure(Stage1Error)
    case unknown
    case end

    init(from socket: OpenFile) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        var descriptors: [Int32] = [-1, -1, -1, -1]
        var count = 0
        repeat { count = system_receive_descriptors(socket.descriptor, &buffer, buffer.count, &descriptors) } while count < 0 && errno == EINTR
        guard count > 0 else {
            self = .end
            return
        }
        let words = buffer[..<count].split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        let code = words.count > 1 ? Int32(words[1]) ?? 0 : 0
        switch words[0] {
        case "terminal" where descriptors[0] >= 0: self = .terminal(OpenFile(descriptor: descriptors[0], path: "the app's terminal"))
        case "setup" where words.count > 2: self = .failure(.setup(what: words[2], code: code))
        case "overlay": self = .failure(.noOverlay(code: code))
        case "shift" where words.count > 2: self = .failure(.notShifted(what: words[2], code: code))
        case "exec" where words.count > 2: self = .failure(.notExecuted(program: words[2], code: code))
        default: self = .unknown
        }
    }
}

/// Signals to this process as something to wait for, in place of handlers. They are the app's to handle while this lives.
final class SignalQueue {
    let descriptor: Int32
    private var before = sigset_t()
    private var set = sigset_t()

    init() {
        sigemptyset(&set)
        // SIGTSTP stays: ^Z stops this process and leaves the pod running.
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT, SIGWINCH, SIGCHLD] { sigaddset(&set, number) }
        // SIGRTMIN and up: some programs are stopped by these. The last has a meaning of our own (`keeper.c`).
        for number in Int32(34)..<64 { sigaddset(&set, number) }
        sigprocmask(SIG_BLOCK, &set, &before)
        descriptor = signalfd(-1, &set, 0o2000000 | O_NONBLOCK)  // SFD_CLOEXEC
    }

    func add(_ number: Int32) {
        sigaddset(&set, number)
        sigprocmask(SIG_BLOCK, &set, nil)
        signalfd(descriptor, &set, 0)
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
