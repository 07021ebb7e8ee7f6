import AppC
import CLinux
import Diagnostics
import Files
import Glibc
import RuntimeBundle
import Subprocess
import Threads

/// Runs an image under an OCI runtime in the container that Docker documents (``RuntimeConfiguration/docker(arguments:environment:workingDirectory:user:root:hostname:network:files:terminal:)``),
/// without a network. Needs root.
///
/// The tree is not written to: a layer above it takes what the container writes, in a mount namespace of one thread's own, and all goes at
/// the end.
public struct RuntimeContainer: Sendable {
    public let runtime: OCIRuntime
    private let settings: DockerSettings
    private let tree: Directory
    private let scratch: Directory

    /// - Parameters:
    ///   - tree: the image's root, which stays as it is.
    ///   - scratch: an empty directory, on a file system that overlays can be made on.
    public init(_ runtime: OCIRuntime, settings: DockerSettings, tree: Directory, scratch: Directory) {
        (self.runtime, self.settings, self.tree, self.scratch) = (runtime, settings, tree, scratch)
    }

    /// - Parameters:
    ///   - arguments: in place of the image's CMD.
    ///   - probe: the path of d2a-probe, where that is to run in place of the image's program.
    /// - Throws: ``ObservationError``, `FileError`, `SubprocessError`.
    public func run(_ arguments: [String], probe: String?, _ conditions: RunConditions) throws -> RunRecord {
        let image = settings.words(arguments)
        guard !image.isEmpty else { return .refused("No command specified") }
        // Whoever waits for the container's process must be its parent, once the runtime has gone.
        try Self.adoptOrphans()
        defer { Self.leaveOrphans() }
        let container = DockerContainer(settings: settings, tree: tree)
        let result = Monitor<Result<RunRecord, any Error>?>(nil)
        WorkerThread {
            let outcome = Result { try run(container, probe.map { _ in [RunConditions.probePath] + image } ?? image, probe, conditions) }
            result.update { $0 = outcome }
        }.join()
        return try result.update { $0! }.get()
    }

    /// How many containers run now. Between them this process adopts nobody: who else's orphans they are would wait for it for ever.
    private static let running = Monitor(0)

    private static func adoptOrphans() throws(FileError) {
        let adopts = running.update { running in
            running += 1
            return running > 1 || system_adopt_orphans(1) == 0
        }
        guard adopts else {
            leaveOrphans()
            throw FileError("adopt", "processes without a parent")
        }
    }

    private static func leaveOrphans() {
        running.update { running in
            running -= 1
            if running == 0 { _ = system_adopt_orphans(0) }
        }
    }

    /// Runs on a thread of its own.
    private func run(_ container: DockerContainer, _ words: [String], _ probe: String?, _ conditions: RunConditions) throws -> RunRecord {
        let path = try scratch.absolutePath()
        guard system_own_mounts() == 0 else { throw FileError("make", "a mount namespace") }
        for name in ["bundle", "upper", "work", "root"] { _ = try scratch.make(name, mode: 0o755) }
        defer { for name in (try? scratch.names()) ?? [] { try? scratch.removeTree(name) } }
        let layers = "lowerdir=\(Self.escaped(try tree.absolutePath())),upperdir=\(Self.escaped(path))/upper,workdir=\(Self.escaped(path))/work"
        guard system_mount_overlay("\(path)/root", layers) == 0 else { throw FileError("mount an overlay on", "\(path)/root") }
        defer { _ = system_unmount("\(path)/root") }
        if !runtime.runsHere { _ = system_unmount(OCIRuntime.unifiedHierarchy) }

        let id = (0..<32).map { _ in UInt8.random(in: 0...255) }.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let configuration: RuntimeConfiguration
        do {
            configuration = try container.configuration(
                words, root: "\(path)/root", hostName: String(id.prefix(12)), files: files(hostName: String(id.prefix(12)), path),
                mounts: volumes(path) + (probe.map { [.bind($0, at: RunConditions.probePath, readOnly: true, recursive: false)] } ?? []), conditions)
        } catch let error as DockerContainer.UnknownUser { return .refused(error.reason) }
        let bundle = try scratch.directory("bundle")
        try RuntimeBundle.write(configuration, to: bundle)
        return try start(id, path, conditions, limit: probe == nil ? OutputRecord.limit : 4 << 20)
    }

    private func start(_ id: String, _ path: String, _ conditions: RunConditions, limit: Int) throws -> RunRecord {
        let words = ["--root", "\(path)/state", "--log", "\(path)/log", "--log-format", "json"]
        let socket = conditions.terminal ? try ConsoleSocket(in: scratch) : nil
        var streams = socket == nil ? try CapturedStreams(limit: limit) : nil
        let create =
            words + ["create", "--bundle", "\(path)/bundle", "--pid-file", "\(path)/pid"] + (socket.map { ["--console-socket", $0.path] } ?? []) + [id]
        let null = try OpenFile.open("/dev/null", O_RDWR)
        let removal = words + ["delete", "--force", id]
        let heir = try Heir(programOnPath(runtime.rawValue), removal)
        defer { heir.dismiss() }
        let created = try call(create, streams: streams?.own ?? [null, null, null])
        defer { _ = try? call(removal, streams: [null, null, null]) }
        guard created == 0 else { return .refused(reason()) }
        guard let number = pid_t(String(decoding: try scratch.file("pid").readAll(limit: 32), as: UTF8.self)) else {
            throw ObservationError.runtime(name: runtime.rawValue, reason: "it doesn't say which process it has made")
        }
        if let socket {
            let master = try socket.terminal()
            NewTerminal.setSize(of: master)
            streams = try CapturedStreams(master: master, slave: nil, limit: limit)
        }
        streams?.handOver()
        guard try call(words + ["start", id], streams: [null, null, null]) == 0 else {
            _ = kill(number, SIGKILL)
            waitpid(number, nil, 0)
            return .refused(reason())
        }
        let began = monotonicSeconds()
        var record = RunRecord()
        let supervision = Supervision(
            process: number, conditions: conditions, stop: { _ = kill(number, conditions.stopSignal.number) }, kill: { _ = kill(number, SIGKILL) })
        defer { waitpid(number, nil, WNOHANG) }
        record.stop = try supervision.run()
        record.milliseconds = Int((monotonicSeconds() - began) * 1000)
        let hasRun = Self.hasExecuted(number)
        var status: Int32 = 0
        guard waitpid(number, &status, 0) == number else {
            throw ObservationError.runtime(name: runtime.rawValue, reason: "the container's process isn't a child of this one")
        }
        let captured = try streams!.finish()
        guard hasRun else { return .refused(Self.lastLine(captured.errors.count > 0 ? captured.errors : captured.output)) }
        record.status = exitCode(status)
        record.signal = status & 0x7F == 0 ? nil : status & 0x7F
        (record.output, record.errors) = captured
        return record
    }

    private func call(_ words: [String], streams: [OpenFile]) throws -> Int32 {
        let pid = try startProgram(programOnPath(runtime.rawValue), words, descriptors: [], streams: streams)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return exitCode(status)
    }

    /// What the runtime has noted last.
    private func reason() -> String {
        struct Line: Decodable { var msg: String }
        let text = (try? scratch.file("log").readAll(limit: 1 << 20)) ?? []
        let lines = text.split(separator: UInt8(ascii: "\n")).compactMap { try? CanonicalJSON.decode(Line.self, from: $0).msg }
        return lines.last ?? "\(runtime.rawValue) has failed and doesn't say why"
    }

    private static func lastLine(_ record: OutputRecord) -> String {
        record.beginning.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.last.map { String(decoding: $0, as: UTF8.self) }
            ?? "it could not be run"
    }

    /// Whether a process, which may have ended, has become a program: until then the kernel has it as forked only (`PF_FORKNOEXEC` of
    /// linux/sched.h). The runtime's own process in the container is forked, and says nothing else of whether the exec has failed.
    private static func hasExecuted(_ process: pid_t) -> Bool {
        guard let text = try? OpenFile.open("/proc/\(process)/stat").readAll(limit: 4096), let end = text.lastIndex(of: UInt8(ascii: ")")) else { return false }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
        // State is the first of these, and the ninth field of all is the flags.
        guard fields.count > 6, let flags = UInt64(fields[6]) else { return false }
        return flags & 0x40 == 0
    }

    // MARK: What the container sees

    /// As Docker writes them where there is no network.
    private func files(hostName: String, _ path: String) throws -> [(path: String, source: String)] {
        let hosts = """
            127.0.0.1\tlocalhost
            ::1\tlocalhost ip6-localhost ip6-loopback
            fe00::0\tip6-localnet
            ff00::0\tip6-mcastprefix
            ff02::1\tip6-allnodes
            ff02::2\tip6-allrouters

            """
        let resolver = (try? OpenFile.open("/etc/resolv.conf").readAll(limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return try [("hosts", hosts), ("hostname", hostName + "\n"), ("resolv.conf", resolver)].map { name, text in
            try scratch.file(name, O_WRONLY | O_CREAT | O_TRUNC).write(text)
            return ("/etc/\(name)", "\(path)/\(name)")
        }
    }

    /// Anonymous volumes begin with what the image has there.
    private func volumes(_ path: String) throws -> [RuntimeConfiguration.Mount] {
        try settings.volumes.enumerated().map { number, point in
            let volume = try scratch.make("volume-\(number)", mode: 0o755)
            let relative = String(point.drop { $0 == "/" })
            if !relative.isEmpty, let source = try? tree.inside(relative, O_RDONLY | O_DIRECTORY) {
                let directory = Directory(descriptor: dup(source.descriptor), path: source.path)
                try directory.copyContents(into: volume)
                try volume.adoptStatus(of: directory)
            }
            return .bind("\(path)/volume-\(number)", at: point.hasPrefix("/") ? point : "/" + point)
        }
    }

    /// Options of a mount are split at commas, and layers at colons.
    private static func escaped(_ path: String) -> String {
        path.reduce(into: "") { result, character in
            if "\\,:".contains(character) { result += "\\" }
            result.append(character)
        }
    }
}

/// Who runs a program when this process has died without a word, by SIGKILL: a container's processes don't end with who made it.
private final class Heir {
    private let process: pid_t
    /// Its other end tells when this process is gone.
    private let life: OpenFile

    init(_ program: String, _ arguments: [String]) throws {
        let (reader, writer) = try CapturedStreams.pipe()
        life = writer
        let null = try OpenFile.open("/dev/null", O_RDWR)
        // In a session of its own, since whole process groups are killed. Who makes the container may still be at it.
        let script = "read -r _; for _ in 1 2 3 4 5; do \"$@\"; sleep 1; done"
        process = try startProgram(
            programOnPath("setsid"), ["sh", "-c", script, "sh", program] + arguments, descriptors: [], streams: [reader, null, null])
    }

    /// There is nothing left to do.
    func dismiss() {
        kill(process, SIGKILL)
        while waitpid(process, nil, 0) < 0, errno == EINTR {}
    }
}

/// Where a runtime hands over the terminal that it has made.
private final class ConsoleSocket {
    private let listener: OpenFile
    private let directory: Directory
    /// Short enough for a socket's address, wherever the directory is.
    var path: String { "/proc/\(getpid())/fd/\(directory.descriptor)/console" }

    init(in directory: Directory) throws(FileError) {
        self.directory = directory
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | 0o2000000, 0)
        guard descriptor >= 0 else { throw FileError("make", "a socket") }
        listener = OpenFile(descriptor: descriptor, path: "a socket")
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8).prefix($0.count - 1)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard result == 0, listen(descriptor, 1) == 0 else { throw FileError("listen at", path) }
    }

    func terminal() throws -> OpenFile {
        let connection = OpenFile(descriptor: system_accept(listener.descriptor), path: "the runtime's socket")
        var (buffer, descriptors) = ([UInt8](repeating: 0, count: 4096), [Int32](repeating: -1, count: 4))
        guard connection.descriptor >= 0, system_receive_descriptors(connection.descriptor, &buffer, buffer.count, &descriptors) >= 0, descriptors[0] >= 0
        else {
            throw FileError("receive", "the container's terminal")
        }
        return OpenFile(descriptor: descriptors[0], path: "the container's terminal")
    }
}
