import ArgumentParser
import Batch
import Files
import Glibc

/// Where reports of a batch go.
struct BatchReports: ParsableArguments {
    @Option(
        help: ArgumentHelp("Write the report to a file, too: .json, .csv, .html, or else as text. May be repeated.", valueName: "file"))
    var report: [String] = []

    func write(_ report: BatchReport) throws {
        for path in self.report {
            let text =
                switch path.split(separator: ".").last {
                case "json": try report.json()
                case "csv": report.csv
                case "html": report.html
                default: report.text
                }
            let (directory, name) = try Directory.holding(path)
            try directory.write(Array(text.utf8), atomicallyTo: name)
        }
    }
}

extension BatchCommand {
    struct Collect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "collect",
            abstract: "Make one report of what the tasks of a batch did.",
            discussion: """
                Prints the report as text, and leaves a list of what failed or is unfinished in DIR/.d2a-batch/failed.list, with which it can be \
                converted again.

                Exit status: 0 all is converted, 3 some images failed or are unfinished, 254 failed, 2 wrong usage.
                """)

        @OptionGroup var reports: BatchReports
        @OptionGroup var publishing: BatchPublishing
        @Flag(help: "Print no report.") var quiet = false
        @Argument(help: ArgumentHelp("The batch's directory, or s3://BUCKET[/PREFIX].", valueName: "directory")) var output: String
        @Argument(help: ArgumentHelp("The list. (default: the one that the tasks had)", valueName: "list")) var list: String?

        func run() throws {
            let remote = try RemoteBatch(output)
            let scratch = try remote.map { _ in try ScratchDirectory() }
            let directory = try BatchDirectory(in: scratch?.directory ?? Directory.open(output))
            try remote?.bringAll(to: directory)
            let submission = try directory.submission()
            if submission == nil, list == nil { throw BatchError.noSubmission(output) }
            let list = try self.list.map { try BatchList(reading: $0) } ?? directory.list(of: submission!)
            let report = BatchReport(list, submission: self.list == nil ? submission : nil, in: directory)
            if !quiet { print(report.text, terminator: "") }
            try reports.write(report)
            let failed = "failed.list"
            let unfinished = report.unfinished(of: list)
            if unfinished.items.isEmpty {
                try directory.directory.remove(failed)
            } else {
                try directory.write(Array(unfinished.text.utf8), as: failed)
                try remote?.send(failed, from: directory)
            }
            try publishing.publish(list.items, directory, from: remote, page: true)
            guard report.isComplete else { throw ExitCode(BatchOptions.someFailed) }
        }
    }
}
