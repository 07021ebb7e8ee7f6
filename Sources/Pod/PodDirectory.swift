import Files
import Glibc

/// A pod's directory on disk, `pods/UUID` of the data directory. It is there while the pod is.
///
///     upper/ work/   what the app writes: the pod's layer above the image's tree
///     rootfs/        where the root is mounted; the tree itself where there is no overlay
///     hosts hostname resolv.conf
public struct PodDirectory: Sendable {
    public let uuid: String
    /// Relative to the data directory.
    public var path: String { "pods/\(uuid)" }
    public var directory: Directory { locked.directory }
    private let locked: LockedDirectory

    /// Makes the directory and removes what dead pods left.
    public init(in data: Directory) throws(FileError) {
        locked = try LockedDirectory(in: data.make("pods", mode: 0o711)) { Self.newUUID() }
        uuid = locked.name
        for name in ["upper", "work", "rootfs"] { _ = try directory.make(name) }
    }

    /// Gives the pod's layer the owner and mode of the tree below it: the layer's top is what the app sees as `/`.
    public func adoptOwner(of tree: Directory) throws(FileError) {
        guard let status = try tree.status(".") else { throw FileError("stat", tree.path, code: ENOENT) }
        let upper = try directory.directory("upper")
        guard fchown(upper.descriptor, status.st_uid, status.st_gid) == 0, fchmod(upper.descriptor, status.st_mode & 0o7777) == 0 else {
            throw FileError("set the owner of", upper.path)
        }
    }

    /// Removes what a pod's own processes have left of it.
    public func remove() throws(FileError) { try locked.remove() }

    /// A random UUID (RFC 4122, version 4).
    static func newUUID() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
        return [hex[0..<4], hex[4..<6], hex[6..<8], hex[8..<10], hex[10..<16]].map { $0.joined() }.joined(separator: "-")
    }
}
