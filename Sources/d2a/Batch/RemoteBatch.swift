import AppC
import ArgumentParser
import Batch
import Files
import Glibc

/// A batch whose directory is in an object store: what is known of images comes before they are converted, and what became of
/// them goes back, their records last.
struct RemoteBatch {
    private let place: ObjectPlace

    /// - Returns: nil where that is a directory of this machine.
    init?(_ output: String) throws {
        guard output.hasPrefix("s3://") else { return nil }
        place = try ObjectPlace(output)
    }

    private func key(_ name: String) -> String { "\(BatchDirectory.name)/\(name)" }

    func bring(_ items: [BatchItem], to directory: BatchDirectory) throws {
        let there = try Dictionary(place.files().map { ($0.name, $0.size) }) { $1 }
        for item in items {
            guard there[key(item.key + ".json")] != nil, let bytes = try place.read(key(item.key + ".json")) else { continue }
            try directory.write(bytes, as: item.key + ".json")
            let comparison = BatchDirectory.comparisonFile(of: item)
            if there[key(comparison)] != nil, let bytes = try place.read(key(comparison)) { try directory.write(bytes, as: comparison) }
            guard let record = directory.record(of: item), let name = record.output, !name.contains("/"), let size = there[name] else { continue }
            // Whether an image has to be converted again is told by the size of what there is: its bytes aren't needed here.
            let file = try directory.output.file(name, O_WRONLY | O_CREAT | O_TRUNC)
            guard ftruncate(file.descriptor, off_t(size)) == 0 else { throw FileError("create", name) }
        }
    }

    func send(_ items: [BatchItem], _ submission: Submission, from directory: BatchDirectory) throws {
        for item in items {
            guard let record = directory.record(of: item) else { continue }
            if record.status == .done, let name = record.output { try place.put(directory.output.file(name), as: name) }
            let comparison = BatchDirectory.comparisonFile(of: item)
            if directory.directory.exists(comparison) { try send(comparison, from: directory) }
            try send(item.key + ".json", from: directory)
        }
        // All tasks send the same.
        for name in [submission.list, "submission.json"] { try send(name, from: directory) }
    }

    /// Brings all that a report is made of.
    func bringAll(to directory: BatchDirectory) throws { try place.fetch(below: BatchDirectory.name, into: directory.directory) }

    /// Brings an ACI.
    /// - Returns: whether it is there.
    func bring(_ name: String, to directory: BatchDirectory) throws -> Bool {
        try place.fetch(name, into: directory.output.file(name, O_RDWR | O_CREAT | O_TRUNC))
    }

    /// Sends a file of the batch's own.
    func send(_ name: String, from directory: BatchDirectory) throws { try place.put(directory.directory.file(name), as: key(name)) }
}
