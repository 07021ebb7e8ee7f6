import Files
import Glibc

/// What leads to an image.
enum IndexKey {
    /// The name in its manifest.
    case name(String)
    case url(String)
    /// `sha256-…` in full.
    case sha256(String)

    /// A file's name can't have all that a URL may: it is FNV-1a's hash of it, which need not be the only one of its value.
    fileprivate var hash: String {
        let text =
            switch self {
            case .name(let name): "name " + name
            case .url(let url): "url " + url
            case .sha256(let id): id
            }
        let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// The way from names, URLs and SHA-256 to images without reading all records: empty files `cas/index/ab/ab….sha512-…`.
///
/// They are hints and no more. Whoever follows one reads the record, and believes that. A record's hints are there before it is, and what
/// leads nowhere goes with the next collection.
extension ImageStore {
    /// The images that may be meant, of which the records tell which are.
    func candidates(_ key: IndexKey) throws -> [ImageRecord] {
        // A store of before it had an index.
        guard cas.exists(Self.index) else { return try images() }
        let hash = key.hash
        let directory: Directory
        do { directory = try cas.directory("\(Self.index)/\(hash.prefix(2))") } catch { if error.code == ENOENT { return [] } else { throw error } }
        return try directory.names().filter { $0.hasPrefix(hash + ".") }.compactMap { try record(file: "\($0.dropFirst(17)).json") }
    }

    /// Makes what is missing of a record's hints durable. Nobody else is at work in the index.
    func makeHints(of record: ImageRecord) throws {
        if !cas.exists(Self.index) {
            // All or none: where it exists, it is whole.
            let new = Self.index + ".new"
            try cas.removeTree(new)
            for record in try [record] + images() { try makeHints(of: record, in: cas.make(new)) }
            try cas.rename(new, to: cas, as: Self.index)
            try cas.sync()
        }
        try makeHints(of: record, in: cas.directory(Self.index))
    }

    private func makeHints(of record: ImageRecord, in index: Directory) throws {
        for name in Self.hints(of: record) {
            let part = String(name.prefix(2))
            let isNew = !index.exists(part)
            let directory = try index.make(part)
            if isNew { try index.sync() }
            guard !directory.exists(name) else { continue }
            _ = try directory.file(name, O_WRONLY | O_CREAT, mode: 0o644)
            try directory.sync()
        }
    }

    func removeHints(of record: ImageRecord) throws {
        guard let index = try? cas.directory(Self.index) else { return }
        for name in Self.hints(of: record) { try (try? index.directory(String(name.prefix(2))))?.remove(name) }
    }

    /// Leaves the hints that records have, and all of those.
    func sweepHints(_ records: [ImageRecord]) throws {
        let known = Set(records.flatMap(Self.hints))
        if let index = try? cas.directory(Self.index) {
            for part in try index.names() {
                let directory = try index.directory(part)
                for name in try directory.names() where !known.contains(name) { try directory.remove(name) }
            }
        }
        for record in records { try makeHints(of: record) }
    }

    private static let index = "index"

    private static func hints(of record: ImageRecord) -> [String] {
        ([.name(record.name), .sha256(record.sha256)] + (record.remotes ?? []).map { .url($0.url) }).map { (key: IndexKey) in "\(key.hash).\(record.id)" }
    }
}
