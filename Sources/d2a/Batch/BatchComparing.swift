import AppC
import ArgumentParser
import Batch
import Files
import Observation
import Threads

/// Whether the images of a batch are compared with what Docker makes of them.
struct BatchComparing: ParsableArguments {
    @Flag(help: "Compare each image, too, as d2a compare does; its report is in DIR/.d2a-batch.") var compare = false
    @Option(help: ArgumentHelp("Whom to compare with: docker, podman, runc, crun or auto.", valueName: "runtime")) var with: Counterpart = .auto
    @Option(help: ArgumentHelp("What to compare: manifest, filesystem, process, with commas between.", valueName: "part,…")) var only: String?

    /// Compares those images that were converted; what is unchanged since it was wholly compared isn't compared again.
    /// - Throws: `ExitCode` 3 where some aren't the same.
    func compare(_ items: [BatchItem], _ directory: BatchDirectory, _ options: BatchOptions) throws {
        guard compare else { return }
        // A signal waits until what is under way has ended, so that nothing of it stays behind.
        let signals = HeldSignals()
        defer { withExtendedLifetime(signals) {} }
        try CompareImages.prepare(with, ReportOptions.parts(only))
        let different = Monitor(false)
        try parallel(count: items.count, workers: options.workers) { index in
            if HeldSignals.hasOne { throw ObservationError.interrupted }
            if try !isSame(items[index], directory, options) { different.update { $0 = true } }
        }
        if different.update({ $0 }) { throw ExitCode(BatchOptions.someFailed) }
    }

    private func isSame(_ item: BatchItem, _ directory: BatchDirectory, _ options: BatchOptions) throws -> Bool {
        let file = BatchDirectory.comparisonFile(of: item)
        guard let record = directory.record(of: item), record.isDone else {
            try directory.directory.remove(file)
            return true
        }
        if record.status == .skipped, let known = directory.comparison(of: item), known != .incomplete { return known == .same }
        var words = ["--format=json", "--output=\(directory.directory.path)/\(file)", "--with=\(with.rawValue)"] + options.source.arguments
        if let only { words.append("--only=\(only)") }
        if let creds = try options.source.withCredentials().creds { words.append("--creds=\(creds)") }
        if let platform = item.options.platform { words.append("--platform=\(platform)") }
        if let image = item.options.image { words.append("--image=\(image)") }
        // In this process: credentials are in no list of processes. What could not be compared has said why.
        do { try CompareImages.parse(words + [item.reference]).compare() } catch is ExitCode { return false }
        return true
    }
}
