import AppC
import Files

/// A batch that is shared out among tasks of a cluster: which images each of them converts. It lies in the batch's directory,
/// so that ``BatchReport`` knows what should be there.
public struct Submission: Sendable, Codable, Equatable {
    public var version = 1
    /// The file of the list beside it, which nobody changes: tasks that begin late see what the first ones saw.
    public var list: String
    public var images: Int
    /// How many images a task converts.
    public var chunk: Int

    /// - Parameter chunk: 1 and up; nil for as few as make no more than a thousand tasks, which is what engines allow by default.
    public init(_ list: BatchList, chunk: Int? = nil) {
        images = list.items.count
        self.chunk = chunk ?? max(1, (images + 999) / 1000)
        self.list = "list-" + fingerprint(list.text.utf8)
    }

    public var tasks: Int { (images + chunk - 1) / chunk }

    /// The images of a task, by their indices in the list.
    /// - Throws: ``BatchError/noSuchTask``
    public func images(ofTask task: Int) throws(BatchError) -> Range<Int> {
        guard (0..<tasks).contains(task) else { throw .noSuchTask(task, count: tasks) }
        return task * chunk..<min(images, (task + 1) * chunk)
    }

    public func task(ofImage image: Int) -> Int { image / chunk }

    /// The index of the task that this process is, as Kubernetes, Slurm and AWS Batch tell it.
    /// - Throws: ``BatchError``
    public static func task(in variable: (String) -> String?) throws(BatchError) -> Int {
        let names = ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID", "AWS_BATCH_JOB_ARRAY_INDEX"]
        for name in names {
            guard let text = variable(name) else { continue }
            guard let index = Int(text), index >= 0 else { throw .badTask(variable: name, value: text) }
            return index
        }
        throw .noTask(variables: names)
    }
}

extension BatchDirectory {
    private static let submission = "submission.json"

    /// Writes down what is shared out. All tasks write the same; the list before what names it.
    public func write(_ submission: Submission, _ list: BatchList) throws {
        if (try? directory.status(submission.list)) == nil { try write(Array(list.text.utf8), as: submission.list) }
        if try self.submission() != submission { try write(CanonicalJSON.encode(submission), as: Self.submission) }
    }

    /// What was shared out last; nil where nothing was.
    public func submission() throws -> Submission? {
        guard directory.exists(Self.submission) else { return nil }
        let bytes = try directory.file(Self.submission).readAll(limit: 1 << 16)
        guard let submission = try? CanonicalJSON.decode(Submission.self, from: bytes), submission.version == 1, submission.chunk > 0,
            !submission.list.contains("/")
        else { throw BatchError.damaged("\(directory.path)/\(Self.submission)") }
        return submission
    }

    public func list(of submission: Submission) throws -> BatchList {
        let file = try directory.file(submission.list)
        return try BatchList(text: String(decoding: file.readAll(limit: 256 << 20), as: UTF8.self), name: file.path)
    }

    /// Forgets what failed, so that a task that never begins isn't taken for one that did.
    public func forgetFailures(of list: BatchList) throws(FileError) {
        for item in list.items where record(of: item)?.isDone == false { try directory.remove(item.key + ".json") }
    }
}

/// FNV-1a, as 16 hexadecimal digits: tells apart what nobody makes alike on purpose.
func fingerprint(_ bytes: some Sequence<UInt8>) -> String {
    let hash = bytes.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
