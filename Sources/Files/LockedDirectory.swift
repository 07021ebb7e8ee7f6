import Glibc

/// A directory that its owner holds locked, so that others can tell work under way from what the dead left behind.
///
/// The lock belongs to the descriptor: a child process that inherits it keeps the directory alive.
public final class LockedDirectory: Sendable {
    public let directory: Directory
    public let name: String
    private let parent: Directory

    /// Makes a directory and removes what dead processes left beside it.
    /// - Parameter name: makes a name that nobody has.
    public init(in parent: Directory, mode: mode_t = 0o700, name: () -> String) throws(FileError) {
        self.parent = parent
        Self.sweep(parent)
        while true {
            let name = name()
            try parent.makeNew(name, mode: mode)
            // Until it is locked it looks like something dead, and another process may sweep it.
            let directory: Directory
            do { directory = try parent.directory(name) } catch { if error.code == ENOENT { continue } else { throw error } }
            guard try directory.lock(wait: true), parent.exists(name) else { continue }
            self.name = name
            self.directory = directory
            return
        }
    }

    public func remove() throws(FileError) { try parent.removeTree(name) }

    /// Removes every sub-directory that nobody holds.
    public static func sweep(_ parent: Directory) {
        for name in (try? parent.names()) ?? [] {
            guard let directory = try? parent.directory(name), (try? directory.lock(wait: false)) == true else { continue }
            try? parent.removeTree(name)
        }
    }
}
