import AppC
import ArgumentParser
import Files
import Glibc
import Pod
import Stage1

/// The sockets that this process was started with, by systemd's protocol (sd_listen_fds(3)), for apps that want them so.
struct ActivatedSockets {
    private var given: [(port: UInt16, isStream: Bool, file: OpenFile)] = []

    init() {
        guard environmentVariable("LISTEN_PID") == String(getpid()), let count = environmentVariable("LISTEN_FDS").flatMap({ Int32($0) }) else { return }
        for descriptor in 3..<(3 + max(0, min(count, 64))) {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            var (address, size) = (sockaddr_in6(), socklen_t(MemoryLayout<sockaddr_in6>.size))
            let isNamed = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) == 0 }
            }
            var (type, length): (Int32, socklen_t) = (0, 4)
            // The port stands at the same place in addresses of both versions.
            guard isNamed, [AF_INET, AF_INET6].contains(Int32(address.sin6_family)), getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 else {
                continue
            }
            given.append((UInt16(bigEndian: address.sin6_port), type == SOCK_STREAM.rawValue, OpenFile(descriptor: descriptor, path: "a socket")))
        }
    }

    /// Those of one app: for each port that is to be so, one that we were given, by the port of the host's that leads to it or by its own
    /// number; else a new one.
    mutating func take(_ app: PodManifestApp, _ ports: [Port], _ pod: PodManifest, _ options: RuntimeOptions) throws -> [AppSocket] {
        var result: [AppSocket] = []
        for port in ports where port.socketActivated == true {
            if options.stage1 == .runc || options.stage1 == .crun {
                throw ValidationError("the app \(app.name) wants the port \(port.name) open when it starts: run it with --stage1=builtin")
            }
            let host = pod.ports?.first { $0.name == port.name }?.hostPort
            for number in 0..<(port.count ?? 1) {
                let own = port.port + number
                let index = given.firstIndex { $0.isStream == (port.protocol != "udp") && ($0.port == host.map { $0 + number } || $0.port == own) }
                let source = index.map { AppSocket.Source.given(given.remove(at: $0).file) } ?? .new(port.protocol)
                result.append(AppSocket(name: port.name, port: own, source: source))
            }
        }
        return result
    }
}
