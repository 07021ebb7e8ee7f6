import ArgumentParser
import Batch
import Files

/// `d2a batch`: all images of a list, into a directory.
struct BatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch",
        abstract: "Convert all images of a list.",
        subcommands: [Convert.self, Expand.self, Submit.self, RunTask.self, Collect.self], defaultSubcommand: Convert.self)

    struct Convert: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "convert",
            abstract: "Convert all images of a list to ACIs. (default)",
            discussion: """
                LIST has an image a line, as docker2aci takes them: names of registries, docker-archive:FILE, oci:DIRECTORY, paths with \
                wildcards; or a JSON object a line ({"reference": "busybox", "platform": "linux/arm64"}); or it is CSV with a header. Lines \
                that begin with # mean nothing. - is standard input.

                What images share is fetched and inflated once. Run again, it converts what has failed, what is new and what has changed.

                Exit status: 0 all is converted, 3 some images failed, 254 failed, 2 wrong usage.
                """)

        @OptionGroup var images: BatchListOptions
        @OptionGroup var options: BatchOptions
        @OptionGroup var reports: BatchReports
        @OptionGroup var publishing: BatchPublishing
        @OptionGroup var comparing: BatchComparing

        func run() throws {
            let list = try images.read(options.source)
            var failed = try BatchOptions.someFail { try options.convert(list, chosen: Array(list.items.indices)) }
            let directory = try BatchDirectory(in: Directory.open(options.output))
            try publishing.publish(list.items, directory, page: true)
            if try BatchOptions.someFail({ try comparing.compare(list.items, directory, options) }) { failed = true }
            try reports.write(BatchReport(list, in: directory))
            if failed { throw ExitCode(BatchOptions.someFailed) }
        }
    }

    struct Expand: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "expand",
            abstract: "Print the images that a batch would convert, as a list.",
            discussion: "Wildcards and registries are looked through now: what is printed stays the same for all tasks of a cluster.")

        @OptionGroup var images: BatchListOptions
        @OptionGroup var source: SourceOptions

        func run() throws { print(try images.read(source).text, terminator: "") }
    }
}
