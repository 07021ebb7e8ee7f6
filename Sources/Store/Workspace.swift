import Files
import Glibc

/// A directory for work under way. It goes with this object, or is swept by the next one when the process died.
public final class Workspace {
    public static let blobName = "aci"

    public var directory: Directory { locked.directory }
    private let locked: LockedDirectory

    public init(_ store: ImageStore) throws {
        locked = try LockedDirectory(in: store.root.make("tmp", mode: 0o711)) { "work-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 16) }
    }

    deinit { try? locked.remove() }
}
