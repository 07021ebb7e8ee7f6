import Files
import Glibc

/// A locked directory for work under way. It goes with this object, or is swept by the next one when the process died.
public final class Workspace {
    public static let blobName = "aci"

    public let directory: Directory
    private let parent: Directory
    private let name: String

    /// Makes a workspace and removes what dead processes left.
    public init(_ store: ImageStore) throws {
        parent = try store.root.make("tmp", mode: 0o711)
        Self.sweep(parent)
        while true {
            let name = "work-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 16)
            let directory = try parent.make(name, mode: 0o700)
            guard try Self.lock(directory, wait: true) else { continue }
            // Another process may have swept it between the two calls.
            guard parent.exists(name) else { continue }
            self.name = name
            self.directory = directory
            return
        }
    }

    deinit { try? parent.removeTree(name) }

    private static func sweep(_ parent: Directory) {
        for name in (try? parent.names()) ?? [] {
            guard let directory = try? parent.directory(name), (try? lock(directory, wait: false)) == true else { continue }
            try? parent.removeTree(name)
        }
    }

    private static func lock(_ directory: Directory, wait: Bool) throws -> Bool {
        while flock(directory.descriptor, LOCK_EX | (wait ? 0 : LOCK_NB)) != 0 {
            if errno == EINTR { continue }
            if errno == EWOULDBLOCK { return false }
            throw FileError("lock", directory.path)
        }
        return true
    }
}
