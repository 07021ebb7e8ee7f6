import AppC
import CLinux
import Files
import Glibc
import Subprocess

/// The machine's metadata service, as those who run pods see it.
///
/// It is a process of its own, `d2a-metadata`, which nobody has to start: whoever registers a pod and finds none starts one, and
/// it ends with the last pod. It has no rights. What it needs of the world it is handed over a local socket: a pod's document,
/// the pod's directory, whose lock tells whether the pod lives, and a socket that listens where the pod can reach it. For a pod
/// with a network of its own that is in there, on its loopback address, so that no other pod and no other machine comes near.
///
///     metadata-svc.sock    where pods are registered
///     metadata/key         what signs for pods; kept, so that a signature is good until the next start of the machine
///     metadata/pods/UUID   a link to the pod's directory
public struct MetadataService {
    /// The port of the loopback address, which is rkt's.
    public static let port: UInt16 = 18112

    private let directory: Directory
    private let state: Directory
    private let pods: Directory
    private var socketPath: String { directory.path + "/metadata-svc.sock" }

    /// - Parameter path: nil for `$D2A_RUN_DIR`, else `/run/d2a`, or `$XDG_RUNTIME_DIR/d2a` for anyone but root.
    /// - Throws: `FileError`
    public init(directory path: String? = nil) throws(FileError) {
        directory = try Directory.make(path ?? Self.path)
        state = try directory.make("metadata", mode: 0o700)
        pods = try state.make("pods", mode: 0o700)
    }

    private static var path: String {
        let own = geteuid() == 0 ? "/run" : environmentVariable("XDG_RUNTIME_DIR") ?? "/run/user/\(geteuid())"
        return environmentVariable("D2A_RUN_DIR") ?? own + "/d2a"
    }

    /// Removes what a service that was killed has left of pods that live no more.
    /// - Throws: `FileError`
    public static func sweep() throws {
        guard access(path + "/metadata/pods", F_OK) == 0 else { return }
        let service = try Self()
        let lock = try service.state.file("lock", O_RDWR | O_CREAT, mode: 0o600)
        _ = try lock.lock(exclusive: true)
        _ = try service.living()
    }

    // MARK: Pods

    /// Registers a pod, and starts the service where it doesn't run.
    /// - Parameter pod: its directory, which somebody holds locked for as long as the pod lives.
    /// - Returns: what the pod's apps get as `AC_METADATA_URL`.
    /// - Throws: ``MetadataError``, `FileError`, `SubprocessError`.
    public func register(_ document: MetadataDocument, pod: Directory) throws -> String {
        try pod.write(CanonicalJSON.encode(document), atomicallyTo: "metadata", mode: 0o600)
        let lock = try state.file("lock", O_RDWR | O_CREAT, mode: 0o600)
        _ = try lock.lock(exclusive: true)
        try link(document.uuid, to: pod)
        if let connection = try Socket.connected(to: socketPath), let address = try Registration(pod).register(over: connection) {
            return address + "/" + document.token
        }
        // It isn't there, or was just going. A new one takes all living pods, and so this one.
        let answers = try start { helper, descriptors in _ = try startProgram(helper, ["--until-idle"], descriptors: descriptors) }
        guard let address = answers[document.uuid] else { throw MetadataError.refused(why: "it ended") }
        return address + "/" + document.token
    }

    private func link(_ uuid: String, to pod: Directory) throws {
        try pods.remove(uuid)
        guard symlinkat(try pod.absolutePath(), pods.descriptor, uuid) == 0 else { throw FileError("create", "\(pods.path)/\(uuid)") }
    }

    /// The pods that live, by their UUIDs. Links to others are removed.
    private func living() throws -> [(uuid: String, pod: Directory)] {
        try pods.names().compactMap { uuid in
            if let pod = try? Directory.open("\(pods.path)/\(uuid)"), (try? pod.lock(exclusive: false, wait: false)) == false { return (uuid, pod) }
            try pods.remove(uuid)
            return nil
        }
    }

    // MARK: The service

    /// Turns this process into the service, which then serves until it is ended.
    ///
    /// Sockets that systemd hands over (sd_listen_fds(3)) are taken: a local one for messages, one of the internet's for the
    /// host's pods.
    /// - Throws: ``MetadataError``, `FileError`.
    public func serve(port: UInt16 = Self.port) throws -> Never {
        let lock = try state.file("lock", O_RDWR | O_CREAT, mode: 0o600)
        _ = try lock.lock(exclusive: true)
        let given = Activation.taken()
        if given.control == nil, try Socket.connected(to: socketPath) != nil { throw MetadataError.running }
        _ = try start(port: port, given) { helper, descriptors in try replaceProgram(with: helper, [], descriptors: descriptors) }
        fatalError("a program that was replaced goes on")
    }

    /// Makes the service's sockets, registers all living pods, and runs it by `run`.
    /// - Parameter port: nil for the usual one, or any where that is taken.
    /// - Returns: the URL of each pod's listener.
    private func start(
        port: UInt16? = nil, _ given: Activation = Activation(), _ run: (String, [any DescriptorOwner]) throws -> Void
    ) throws -> [String: String] {
        let control = try given.control ?? Socket.listening(at: socketPath)
        let host = try given.host ?? Self.hostListener(port)
        // Whoever connects now waits until it is there. A pod that can't be served any more keeps no other from being.
        let waiting = try living().compactMap { uuid, pod -> (String, Socket)? in
            guard let connection = try Socket.connected(to: socketPath), (try? Registration(pod).send(over: connection)) == true else { return nil }
            return (uuid, connection)
        }
        try run(companionProgram("d2a-metadata"), [control, host, key()])
        var answers: [String: String] = [:]
        for (uuid, connection) in waiting { answers[uuid] = try? Registration.answer(over: connection) }
        return answers
    }

    private static func hostListener(_ port: UInt16?) throws(MetadataError) -> Socket {
        do throws(MetadataError) { return try Socket.loopback(port: port ?? Self.port) } catch {
            guard port == nil, error == .portTaken(Self.port) else { throw error }
        }
        return try Socket.loopback(port: 0)
    }

    /// 64 random bytes, made once.
    private func key() throws -> OpenFile {
        if !state.exists("key") { try state.write((0..<64).map { _ in UInt8.random(in: 0...255) }, atomicallyTo: "key", mode: 0o600) }
        return try state.file("key")
    }
}

/// Sockets that systemd hands over (sd_listen_fds(3)): a local one for registrations, one of the internet's for the host's pods.
private struct Activation {
    var control: Socket?
    var host: Socket?

    init() {}

    /// Takes what this process was given.
    static func taken() -> Activation {
        var result = Activation()
        guard environmentVariable("LISTEN_PID") == String(getpid()), let count = environmentVariable("LISTEN_FDS").flatMap({ Int32($0) }) else { return result }
        for descriptor in 3..<(3 + max(0, min(count, 16))) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            var address = sockaddr()
            var size = socklen_t(MemoryLayout<sockaddr>.size)
            guard getsockname(descriptor, &address, &size) == 0 else { continue }
            let socket = Socket(descriptor: descriptor)
            if Int32(address.sa_family) == AF_UNIX { result.control = socket } else { result.host = socket }
        }
        return result
    }
}

/// A pod that is to be registered.
private struct Registration {
    let pod: Directory
    let file: OpenFile
    let listener: Socket?

    /// - Throws: `FileError` where there is no document; ``MetadataError`` where nothing can listen in the pod's network.
    init(_ pod: Directory) throws {
        // One of its own: the lock belongs to the open directory, and the service must not keep ours.
        self.pod = try Directory.open("/proc/self/fd/\(pod.descriptor)")
        file = try pod.file("metadata")
        let document = try CanonicalJSON.decode(MetadataDocument.self, from: file.readAll(limit: 16 << 20))
        try file.seek(to: 0)
        listener = try document.network.map { try Socket.loopback(port: MetadataService.port, inNetwork: $0) }
    }

    /// - Returns: the URL of the pod's listener, or nil where the service is gone.
    func register(over connection: Socket) throws -> String? { send(over: connection) ? try Self.answer(over: connection) : nil }

    /// - Returns: whether the service is there.
    func send(over connection: Socket) -> Bool {
        let descriptors = [file.descriptor, pod.descriptor] + (listener.map { [$0.descriptor] } ?? [])
        return withExtendedLifetime((connection, self)) { system_send_descriptors(connection.descriptor, "register", 8, descriptors, descriptors.count) } == 8
    }

    /// The service's answer to one registration.
    /// - Returns: nil where it has ended.
    static func answer(over connection: Socket) throws(MetadataError) -> String? {
        var buffer = [UInt8](repeating: 0, count: 512)
        var count = 0
        repeat { count = read(connection.descriptor, &buffer, buffer.count) } while count < 0 && errno == EINTR
        guard count > 0 else { return nil }
        let text = String(decoding: buffer[..<count], as: UTF8.self)
        guard text.hasPrefix("http://") else { throw .refused(why: text) }
        return text
    }
}
