import AppC
import Files
import Glibc

/// A download that goes on where a dead process, or a broken connection, left it: a directory `downloads/NAME` that its owner has
/// locked.
///
/// `about.json` says of what it is; `data` is what came so far.
public final class Download {
    public static let dataName = "data"
    public static let aboutName = "about.json"

    /// Of what a download is, and by what the server knows that it hasn't changed.
    public struct About: Codable, Sendable {
        public var url: String
        public var etag: String?
        public var lastModified: String?

        public init(url: String, etag: String? = nil, lastModified: String? = nil) { (self.url, self.etag, self.lastModified) = (url, etag, lastModified) }
    }

    public let directory: Directory
    private let parent: Directory
    private let name: String

    /// Takes up the download of a URL, or begins one.
    /// - Returns: nil where somebody else had it, and has ended: what there is should be looked at again.
    public static func of(_ url: String, in store: ImageStore) throws -> Download? {
        let parent = try store.root.make("downloads", mode: 0o711)
        // One at a time looks and begins.
        let gate = try parent.file(".lock", O_RDWR | O_CREAT)
        _ = try gate.lock(exclusive: true)
        for name in try parent.names() where !name.hasPrefix(".") {
            guard let directory = try? parent.directory(name), let file = try? directory.file(aboutName), let bytes = try? file.readAll(limit: 1 << 16),
                let about = try? CanonicalJSON.decode(About.self, from: bytes), about.url == url
            else { continue }
            if try directory.lock(wait: false) { return Download(directory, parent, name) }
            withExtendedLifetime(gate) { _ = flock(gate.descriptor, LOCK_UN) }
            _ = try directory.lock(wait: true)
            return try ImageStore.isSame(directory, parent, name) ? Download(directory, parent, name) : nil
        }
        let name = "\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 16)
        try parent.makeNew(name, mode: 0o700)
        let directory = try parent.directory(name)
        _ = try directory.lock(wait: true)
        try directory.write(CanonicalJSON.encode(About(url: url)), atomicallyTo: aboutName)
        return withExtendedLifetime(gate) { Download(directory, parent, name) }
    }

    private init(_ directory: Directory, _ parent: Directory, _ name: String) { (self.directory, self.parent, self.name) = (directory, parent, name) }

    public func data() throws(FileError) -> OpenFile { try directory.file(Self.dataName) }

    /// It was used, or is not good for anything.
    public func remove() throws(FileError) { try parent.removeTree(name) }
}
