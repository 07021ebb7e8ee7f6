import AppC
import CLinux
import Files
import Glibc
import Metadata
import NIOCore
import Synchronization
import Threads

/// Takes registrations, and forgets pods that have ended.
///
/// A registration is one message over a local socket to which only those who run pods can connect: the pod's document, its
/// directory and, where it has a network of its own, a socket that listens in it.
public final class Registrar: Sendable {
    private struct Pod {
        /// Locked by others for as long as the pod lives.
        let directory: Directory
        let listener: (any Channel)?
    }

    private let server: MetadataServer
    private let control: OpenFile
    private let hostURL: String
    private let pods = Mutex<[String: Pod]>([:])

    /// - Parameters:
    ///   - control: the local socket that listens for messages.
    ///   - host: the socket that listens for pods on the host's network.
    public init(_ server: MetadataServer, control: OpenFile, host: OpenFile) {
        (self.server, self.control) = (server, control)
        hostURL = "http://127.0.0.1:\(Self.port(of: host))"
    }

    private static func port(of socket: OpenFile) -> UInt16 {
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket.descriptor, $0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Works until there has been no pod for some seconds; for ever where `untilIdle` is false.
    public func run(untilIdle: Bool) throws {
        var idle = 0
        while !untilIdle || idle < 3 {
            var ready = pollfd(fd: control.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&ready, 1, 1000) > 0 {
                let connection = accept(control.descriptor, nil, nil)
                if connection >= 0 { receive(OpenFile(descriptor: connection, path: "a registration")) }
                idle = 0
            } else {
                idle = try sweep() == 0 ? idle + 1 : 0
            }
        }
    }

    private func receive(_ connection: OpenFile) {
        // Who connects and says nothing must not keep others waiting.
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(connection.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var buffer = [UInt8](repeating: 0, count: 64)
        var descriptors: [Int32] = [-1, -1, -1, -1]
        guard system_receive_descriptors(connection.descriptor, &buffer, buffer.count, &descriptors) > 0 else { return }
        let files = descriptors.filter { $0 >= 0 }.map { OpenFile(descriptor: $0, path: "a pod's file") }
        let answer: String
        do { answer = try register(files) } catch let refusal as MetadataRefusal { answer = refusal.why } catch { answer = "\(error)" }
        try? connection.write(answer)
    }

    private func register(_ files: [OpenFile]) throws -> String {
        guard files.count >= 2 else { throw MetadataRefusal(why: "its registration isn't complete") }
        let document = try CanonicalJSON.decode(MetadataDocument.self, from: files[0].readAll(limit: 16 << 20))
        let pod = try PodMetadata(document, hasOwnListener: files.count > 2)
        forget(pod.uuid)
        let listener = files.count > 2 ? try server.listen(files[2], pod: pod.uuid) : nil
        server.endpoints.add(pod)
        let directory = Directory(descriptor: fcntl(files[1].descriptor, F_DUPFD_CLOEXEC, 3), path: "a pod's directory")
        pods.withLock { $0[pod.uuid] = Pod(directory: directory, listener: listener) }
        return listener == nil ? hostURL : "http://127.0.0.1:\(Self.port(of: files[2]))"
    }

    private func forget(_ uuid: String) {
        guard let pod = pods.withLock({ $0.removeValue(forKey: uuid) }) else { return }
        server.endpoints.remove(uuid)
        pod.listener?.close(promise: nil)
    }

    /// Forgets the pods whose directory nobody holds locked any more.
    /// - Returns: how many are left.
    private func sweep() throws -> Int {
        for (uuid, directory) in pods.withLock({ $0.map { ($0.key, $0.value.directory) } }) where (try? directory.lock(exclusive: false, wait: false)) != false
        {
            forget(uuid)
        }
        return pods.withLock { $0.count }
    }
}
