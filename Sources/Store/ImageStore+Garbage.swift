import Digest
import Files
import Glibc

/// What a collection removed.
public struct Garbage: Sendable {
    public var images: [ImageID] = []
    /// Names of trees.
    public var trees: [String] = []
}

extension ImageStore {
    /// Removes trees that no pod needs, images that nobody has used for a while, and whatever killed processes left behind.
    ///
    /// - Parameter unusedSince: seconds since 1970. Images that pods run on, and those that other images which stay are built on, stay.
    public func collectGarbage(unusedSince limit: Int) throws -> Garbage {
        var garbage = Garbage()
        LockedDirectory.sweep(try root.make("tmp", mode: 0o711))
        if let downloads = try? root.directory("downloads") { LockedDirectory.sweep(downloads) }
        for tree in try trees() where try remove(tree) { garbage.trees.append(tree.name) }
        try sweepTrees()
        let used = Set(try trees().flatMap(\.images))
        try locked(exclusive: true) {
            let all = try images()
            var kept = Set(all.filter { ($0.lastUse ?? 0) >= limit || used.contains($0.id) }.map(\.id))
            var open = Array(kept)
            while let text = open.popLast() {
                guard let id = ImageID(text) else { continue }
                for dependency in try manifest(id).dependencies ?? [] {
                    if let below = try resolve(dependency), kept.insert(below.description).inserted { open.append(below.description) }
                }
            }
            for record in all where !kept.contains(record.id) {
                guard let id = ImageID(record.id) else { continue }
                try removeLocked(id)
                garbage.images.append(id)
            }
            try sweepIndex()
        }
        return garbage
    }

    /// Directories in which trees were made or removed, by processes that have died.
    private func sweepTrees() throws {
        guard let trees = try? cas.directory("tree") else { return }
        for name in try trees.names() where name.hasPrefix(".") {
            guard let directory = try? trees.directory(name), try directory.lock(wait: false), try Self.isSame(directory, trees, name) else { continue }
            try trees.removeTree(name)
        }
    }

    /// What belongs to no image. Nobody else is at work in the index.
    private func sweepIndex() throws {
        let records = try images()
        let known = Set(records.flatMap { [$0.id, $0.sha256] })
        for (name, isFile) in [("blob/sha512", true), ("blob/sha256", true), ("imageManifest/sha512", true)] where isFile {
            guard let directory = try? cas.directory(name) else { continue }
            for part in try directory.names() {
                guard let files = try? directory.directory(part) else { continue }
                for file in try files.names() where !known.contains(file) { try files.remove(file) }
                unlinkat(directory.descriptor, part, AT_REMOVEDIR)
            }
        }
        if let directory = try? cas.directory("image") { for name in try directory.names() where name.hasPrefix(".") { try directory.remove(name) } }
        if let names = try? cas.directory("name") { try sweepNames(names, known) }
        try sweepHints(records)
    }

    private func sweepNames(_ directory: Directory, _ known: Set<String>) throws {
        for name in try directory.names() {
            if let child = try? directory.directory(name) {
                try sweepNames(child, known)
                unlinkat(directory.descriptor, name, AT_REMOVEDIR)
            } else if !name.hasPrefix("@") || !known.contains(String(decoding: (try? directory.file(name).readAll(limit: 4096)) ?? [], as: UTF8.self)) {
                try directory.remove(name)
            }
        }
    }
}
