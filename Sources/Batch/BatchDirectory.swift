import AppC
import Files
import Glibc

/// Where a batch keeps what it knows: `.d2a-batch` in the directory that it writes to, in which each image has its record.
///
/// There are no locks: a record appears whole or not at all, and whoever writes it last has it. That holds on network file
/// systems too, and for one image that is converted twice at once.
public struct BatchDirectory: Sendable {
    public static let name = ".d2a-batch"

    public let output: Directory
    /// Also for files without a name.
    public let directory: Directory

    /// Opens, or makes, that of an output directory.
    /// - Throws: `FileError`
    public init(in output: Directory) throws(FileError) {
        self.output = output
        directory = try output.make(Self.name)
    }

    /// What is known of an image; nil where nothing is, or nothing that can be understood.
    public func record(of item: BatchItem) -> BatchRecord? {
        guard let record = read(item.key + ".json"), record.item == item else { return nil }
        return record
    }

    /// All records, in the order of their keys, also of images that are in no list any more.
    /// - Throws: `FileError`
    public func records() throws(FileError) -> [BatchRecord] {
        try directory.names().filter { $0.hasSuffix(".json") && $0.hasPrefix("r") }.compactMap { read($0) }
    }

    private func read(_ name: String) -> BatchRecord? {
        guard let bytes = try? directory.file(name).readAll(limit: 16 << 20), let record = try? CanonicalJSON.decode(BatchRecord.self, from: bytes),
            record.version == 1
        else { return nil }
        return record
    }

    public func write(_ record: BatchRecord) throws { try write(CanonicalJSON.encode(record) + [0x0A], as: record.item.key + ".json") }

    /// Whether the ACI of a record is there, as far as its size tells.
    public func hasOutput(of record: BatchRecord) -> Bool {
        guard let name = record.output, let size = record.sizeAfter, let status = try? output.status(name) else { return false }
        return Int(status.st_size) == size && status.st_mode & S_IFMT == S_IFREG
    }

    /// Writes a small file in one step.
    public func write(_ bytes: [UInt8], as name: String) throws(FileError) { try directory.replace(name, with: bytes) }

    /// Removes what was left behind by processes that are dead: of this machine, or of another one a day ago.
    public func sweep() { for place in [directory, output] { PendingFile.sweep(place) } }
}
