import ArgumentParser
import Batch
import Files
import Glibc
import Publishing

extension BatchCommand {
    struct RunTask: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run-task",
            abstract: "Convert those images of a list that are one task of a cluster's.",
            discussion: """
                Without INDEX the task is found in JOB_COMPLETION_INDEX (Kubernetes), SLURM_ARRAY_TASK_ID or AWS_BATCH_JOB_ARRAY_INDEX. \
                Run twice, or twice at once, a task harms nothing.

                Exit status: 0 its images are converted, 3 some failed, 254 failed, 2 wrong usage.
                """)

        @Option(help: ArgumentHelp("How many images are a task. (default: as few as make a thousand tasks)", valueName: "n")) var chunk: Int?
        @OptionGroup var publishing: BatchPublishing
        @OptionGroup var comparing: BatchComparing
        @OptionGroup var options: BatchOptions
        @Argument(help: ArgumentHelp("Which task, 0 is the first; then the list, or -.", valueName: "[index] list")) var words: [String]

        private var index: Int? { words.count == 2 ? Int(words[0]) : nil }

        func validate() throws {
            guard (1...2).contains(words.count) else { throw ValidationError("give the list, or a task's index and the list") }
            if words.count == 2, index == nil { throw ValidationError("\"\(words[0])\" is no index of a task") }
            if let chunk, chunk < 1 { throw ValidationError("--chunk \(chunk): give 1 or more") }
        }

        func run() throws {
            let list = try BatchList(reading: words.last!)
            let submission = Submission(list, chunk: chunk)
            let chosen = try Array(submission.images(ofTask: index ?? Submission.task(in: environmentVariable)))
            let remote = try RemoteBatch(options.output)
            let items = chosen.map { list.items[$0] }
            let scratch = try remote.map { _ in try ScratchDirectory() }
            var options = options
            if let scratch { options.output = scratch.path }
            let directory = try BatchDirectory(in: Directory.make(options.output))
            try remote?.bring(items, to: directory)
            try directory.write(submission, list)
            var failed = try BatchOptions.someFail { try options.convert(list, chosen: chosen) }
            // What is unchanged in an object store isn't here; it was published when it was made.
            try publishing.publish(items, directory, unchanged: remote == nil, page: false)
            if try BatchOptions.someFail({ try comparing.compare(items, directory, options) }) { failed = true }
            try remote?.send(items, submission, from: directory)
            if failed { throw ExitCode(BatchOptions.someFailed) }
        }
    }
}

/// A directory that goes with this object.
final class ScratchDirectory {
    let directory: Directory
    let path: String
    private let parent: Directory
    private let name = "d2a-\(getpid())-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)

    init() throws {
        let place = environmentVariable("TMPDIR") ?? "/tmp"
        parent = try Directory.open(place)
        try parent.makeNew(name, mode: 0o700)
        directory = try parent.directory(name)
        path = "\(place)/\(name)"
    }

    deinit { try? parent.removeTree(name) }
}
