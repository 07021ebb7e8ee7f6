import CLinux
import Files
import Glibc
import Threads

/// A socket. Owns the descriptor.
public final class Socket: DescriptorOwner {
    public let descriptor: Int32

    /// Takes ownership.
    public init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private static func make(_ family: Int32, _ type: __socket_type) throws(MetadataError) -> Socket {
        let closeOnExec: Int32 = 0o2000000
        let descriptor = socket(family, Int32(type.rawValue) | closeOnExec, 0)
        guard descriptor >= 0 else { throw .socket(what: "make a socket", code: errno) }
        return Socket(descriptor: descriptor)
    }

    // MARK: Local

    /// Messages over a path. What lies there is removed first, and only the owner may connect.
    static func listening(at path: String) throws(MetadataError) -> Socket {
        unlink(path)
        let result = try make(AF_UNIX, SOCK_SEQPACKET)
        let mask = umask(0o177)
        defer { umask(mask) }
        guard withAddress(path, { bind(result.descriptor, $0, $1) }) == 0, listen(result.descriptor, 1024) == 0 else {
            throw .socket(what: "listen at \(path)", code: errno)
        }
        return result
    }

    /// - Returns: nil where nobody listens.
    static func connected(to path: String) throws(MetadataError) -> Socket? {
        let result = try make(AF_UNIX, SOCK_SEQPACKET)
        if withAddress(path, { connect(result.descriptor, $0, $1) }) == 0 { return result }
        guard errno == ENOENT || errno == ECONNREFUSED else { throw .socket(what: "connect to \(path)", code: errno) }
        return nil
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return -1
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    // MARK: Loopback

    /// A port of the loopback address, in this process's network namespace. 0 stands for any that is free.
    /// - Throws: ``MetadataError/portTaken(_:)``
    static func loopback(port: UInt16) throws(MetadataError) -> Socket {
        let result = try make(AF_INET, SOCK_STREAM)
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(result.descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        // Where the pod's loopback interface isn't up yet, it soon is.
        setsockopt(result.descriptor, Int32(IPPROTO_IP), IP_FREEBIND, &on, size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(result.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard bound == 0, listen(result.descriptor, 128) == 0 else {
            throw errno == EADDRINUSE ? .portTaken(port) : .socket(what: "listen on port \(port)", code: errno)
        }
        return result
    }

    /// Like ``loopback(port:)``, in the network namespace that a path leads to: nobody outside of it reaches the socket.
    static func loopback(port: UInt16, inNetwork path: String) throws -> Socket {
        let namespace = try OpenFile.open(path)
        let result = Monitor<Result<Socket, MetadataError>?>(nil)
        // A thread of its own, which takes the namespace with it when it ends.
        let thread = WorkerThread {
            let made: Result<Socket, MetadataError>
            if system_enter_network(namespace.descriptor) == 0 {
                made = Result { () throws(MetadataError) in try loopback(port: port) }
            } else {
                made = .failure(.socket(what: "enter the network namespace at \(path)", code: errno))
            }
            result.update { $0 = made }
        }
        thread.join()
        return try result.wait { $0 }.get()
    }
}
