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

    // MARK: Files that appear whole

    /// Writes a small file in one step.
    public func write(_ bytes: [UInt8], as name: String) throws(FileError) {
        let temporary = Self.temporaryName()
        do throws(FileError) {
            let file = try directory.file(temporary, O_WRONLY | O_CREAT | O_EXCL)
            try bytes.withUnsafeBufferPointer { (buffer) throws(FileError) in try file.write(UnsafeRawBufferPointer(buffer)) }
            try directory.rename(temporary, to: directory, as: name)
        } catch {
            try? directory.remove(temporary)
            throw error
        }
    }

    /// `.new-HOST-PID-RANDOM`: nobody else's, and it shows whose it was.
    private static func temporaryName() -> String { ".new-\(host)-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 36) }

    private static let host: String = {
        var system = utsname()
        uname(&system)
        let name = withUnsafePointer(to: &system.nodename) { $0.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) } }
        return name.replacing("-", with: "_").replacing("/", with: "_")
    }()

    /// Removes what was left behind by processes that are dead: of this machine, or of another one a day ago.
    public func sweep() {
        for place in [directory, output] {
            for name in (try? place.names()) ?? [] where name.hasPrefix(".new-") {
                let parts = name.split(separator: "-")
                guard parts.count == 4, let pid = pid_t(parts[2]), let status = try? place.status(name) else { continue }
                let isDead = parts[1] == Self.host && kill(pid, 0) != 0 && errno == ESRCH
                if isDead || time(nil) - status.st_mtim.tv_sec > 86400 { try? place.remove(name) }
            }
        }
    }
}
