import AppC
import CLinux
import Digest
import Files
import Glibc

/// The rootfs of an image on disk, ready to run, which stays as long as somebody has this object, or a copy of its lock.
///
/// A pod keeps ``lock`` open while it runs, and has ``path`` in a file `tree` of its directory while it may run again.
public final class RenderedTree: Sendable {
    /// The name of its directory in `cas/tree`.
    public let name: String
    /// Its `rootfs`.
    public let directory: Directory
    /// Where that is, relative to the data directory.
    public var path: String { "cas/tree/\(name)/rootfs" }
    /// The tree's directory, with a shared lock.
    public let lock: Directory

    init(name: String, lock: Directory) throws(FileError) {
        (self.name, self.lock) = (name, lock)
        directory = try lock.directory("rootfs")
    }
}

/// What a rendered tree was made of.
public struct TreeRecord: Sendable, Codable {
    /// The images, that which was rendered first, and then those below it.
    public var images: [String]
    /// Bytes of its files.
    public var size: Int
    /// The name of its directory; in no file.
    public private(set) var name = ""

    private enum CodingKeys: String, CodingKey { case images, size }

    init(images: [String], size: Int) { (self.images, self.size) = (images, size) }

    fileprivate func named(_ name: String) -> TreeRecord {
        var result = self
        result.name = name
        return result
    }

    /// The image that was rendered.
    public var top: ImageID? { images.first.flatMap { ImageID($0) } }
}

extension ImageStore {
    /// The rendered tree of an image and those that it is built on, made by `render` where it isn't there yet.
    ///
    /// However many processes ask at once, it is made once: the directory in which it is made is locked, and becomes the tree by a
    /// rename when it is whole and durable.
    /// - Parameter render: fills the empty directory it is given with the images' `rootfs`.
    public func tree(_ images: [ImageID], render: (Directory) throws -> Void) throws -> RenderedTree {
        let trees = try cas.make("tree", mode: 0o700)
        let temporary = ".new-\(images[0])"
        while true {
            if let record = try self.trees(of: images[0]).first(where: { $0.images == images.map(\.description) }) {
                // Whoever removes it has a lock for good, and then another name for it.
                if let tree = try open(record) { return tree }
                continue
            }
            mkdirat(trees.descriptor, temporary, 0o700)
            let work: Directory
            do { work = try trees.directory(temporary) } catch { if error.code == ENOENT { continue } else { throw error } }
            _ = try work.lock(wait: true)
            // Somebody else has made the tree of it, or removed what a dead process had left.
            guard try Self.isSame(work, trees, temporary) else { continue }
            guard try !self.trees(of: images[0]).contains(where: { $0.images == images.map(\.description) }) else {
                try trees.removeTree(temporary)
                continue
            }
            for name in try work.names() { try work.removeTree(name) }
            do {
                try render(work)
                try work.write(
                    CanonicalJSON.encode(TreeRecord(images: images.map(\.description), size: work.directory("rootfs").treeSize())), atomicallyTo: Self.treeFile)
                guard system_sync_filesystem(trees.descriptor) == 0 else { throw FileError("sync", trees.path) }
                var name = images[0].description
                var number = 0
                while trees.exists(name) {
                    number += 1
                    name = "\(images[0]).\(number)"
                }
                fchmod(work.descriptor, 0o755)
                try trees.rename(temporary, to: trees, as: name)
                try trees.sync()
            } catch {
                try? trees.removeTree(temporary)
                throw error
            }
        }
    }

    static let treeFile = "tree.json"

    /// All trees that are whole, or those of one image.
    public func trees(of image: ImageID? = nil) throws -> [TreeRecord] {
        guard let trees = try? cas.directory("tree") else { return [] }
        return try trees.names().filter { $0.hasPrefix(image?.description ?? "sha") }.compactMap { name in
            guard let file = try? trees.directory(name).file(Self.treeFile) else { return nil }
            guard let record = try? CanonicalJSON.decode(TreeRecord.self, from: file.readAll(limit: 1 << 20)), record.top != nil else {
                throw StoreError.damaged(path: file.path)
            }
            return record.named(name)
        }
    }

    /// - Returns: nil where it was removed meanwhile.
    public func open(_ record: TreeRecord) throws -> RenderedTree? {
        let trees = try cas.directory("tree")
        let lock: Directory
        do { lock = try trees.directory(record.name) } catch { if error.code == ENOENT { return nil } else { throw error } }
        guard try lock.lock(exclusive: false, wait: true), try Self.isSame(lock, trees, record.name) else { return nil }
        return try RenderedTree(name: record.name, lock: lock)
    }

    /// Removes a tree that nobody uses.
    /// - Returns: false where a pod needs it.
    @discardableResult
    public func remove(_ record: TreeRecord) throws -> Bool {
        let trees = try cas.directory("tree")
        guard let lock = try? trees.directory(record.name) else { return true }
        // Only with the lock: a pod that is being made has it until its directory says so.
        guard try lock.lock(wait: false) else { return false }
        guard try Self.isSame(lock, trees, record.name) else { return true }
        guard try !treesOfPods().contains(record.name) else { return false }
        let dead = ".old-\(record.name)"
        try trees.removeTree(dead)
        try trees.rename(record.name, to: trees, as: dead)
        try trees.removeTree(dead)
        return true
    }

    /// The names of trees that pods may run on once more: in the files `tree` of `pods/PHASE/UUID` and its `apps/NAME`.
    func treesOfPods() throws -> Set<String> {
        var result: Set<String> = []
        func note(_ directory: Directory) {
            guard let text = try? directory.file("tree").readAll(limit: 1 << 16) else { return }
            for line in String(decoding: text, as: UTF8.self).split(whereSeparator: \.isNewline) {
                let parts = line.split(separator: "/")
                if let name = parts.count > 2 && parts[0] == "cas" && parts[1] == "tree" ? parts[2] : parts.first { result.insert(String(name)) }
            }
        }
        guard let pods = try? root.directory("pods") else { return [] }
        for phase in try pods.names() {
            guard let directory = try? pods.directory(phase) else { continue }
            for uuid in try directory.names() {
                guard let pod = try? directory.directory(uuid) else { continue }
                note(pod)
                guard let apps = try? pod.directory("apps") else { continue }
                // A pod that goes meanwhile needs none.
                var names: [String] = []
                do { names = try apps.names() } catch { if error.code != ENOENT { throw error } }
                for name in names { if let app = try? apps.directory(name) { note(app) } }
            }
        }
        return result
    }

    /// Whether a name still leads to the directory that was opened by it.
    static func isSame(_ opened: Directory, _ parent: Directory, _ name: String) throws -> Bool {
        let (mine, there) = (try opened.status("."), try parent.status(name))
        return mine?.st_ino == there?.st_ino && there != nil
    }
}

extension Directory {
    /// Bytes of all files below, each name counted.
    fileprivate func treeSize() throws -> Int {
        var total = 0
        for name in try names() {
            guard let status = try status(name) else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG: total += Int(status.st_size)
            case S_IFDIR: total += try directory(name).treeSize()
            default: break
            }
        }
        return total
    }
}
