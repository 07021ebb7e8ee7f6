import Diagnostics
import Files
import Glibc
import Subprocess

/// Users that a pod of root's has to itself: its root is somebody outside whom no file and no process of the host's belongs to.
public struct PodUsers: Sendable {
    /// How many there are: as many as a pod without such has.
    public static let count: UInt32 = 65536

    /// Who the pod's root is outside.
    public let first: UInt32
    /// Whether the pod's files belong to them on disk too; else by how they are mounted.
    public let ownOnDisk: Bool
    /// The user namespace.
    let namespace: OpenFile

    /// Makes a user namespace for users from `first` on.
    /// - Throws: `UserNamespaceError`, `SubprocessError`, `FileError`.
    public init(first: UInt32, ownOnDisk: Bool) throws {
        (self.first, self.ownOnDisk) = (first, ownOnDisk)
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { throw FileError("make", "a socket pair") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let ours = OpenFile(descriptor: ends[0], path: "the holder of the pod's users")
        // It has the namespace until we do.
        let holder = try startProgram(
            companionProgram("d2a-stage1"), ["users"], descriptors: [OpenFile(descriptor: ends[1], path: "the holder of the pod's users")])
        defer {
            shutdown(ours.descriptor, Int32(SHUT_RDWR))
            var status: Int32 = 0
            while waitpid(holder, &status, 0) < 0, errno == EINTR {}
        }
        var byte = [UInt8](repeating: 0, count: 1)
        guard try byte.withUnsafeMutableBytes({ try ours.read(into: $0) }) == 1 else { throw UserNamespaceError.forbidden(code: EPERM) }
        for map in ["uid_map", "gid_map"] { try OpenFile.open("/proc/\(holder)/\(map)", O_WRONLY).write("0 \(first) \(Self.count)") }
        namespace = try OpenFile.open("/proc/\(holder)/ns/user")
    }

    /// A range that is nobody's: of those that are left for containers (systemd's uids-gids.md), one that neither a pod has nor
    /// `/etc/subuid` or `/etc/subgid` gives to anybody.
    /// - Parameter taken: the first of each pod's.
    public static func free(taken: Set<UInt32>) -> UInt32 {
        let given = ["/etc/subuid", "/etc/subgid"].flatMap { file in
            String(decoding: (try? OpenFile.open(file).readAll(limit: 1 << 20)) ?? [], as: UTF8.self).split(separator: "\n").compactMap {
                line -> ClosedRange<UInt64>? in
                let fields = line.split(separator: ":").compactMap { UInt64($0) }
                guard let start = fields.dropLast().last, let count = fields.last, count > 0 else { return nil }
                return start...(start + count - 1)
            }
        }
        while true {
            let first = UInt32.random(in: 0x8...0x6FFE) << 16
            if !taken.contains(first), !given.contains(where: { $0.overlaps(UInt64(first)...UInt64(first) + UInt64(count) - 1) }) { return first }
        }
    }
}
