import AppC
import Batch
import Diagnostics
import Program
import Threads

/// Tells of a batch while it goes on.
final class BatchDisplay: Sendable {
    private let total: Int
    private let json: Bool
    private let quiet: Bool
    private let done = Monitor(0)

    init(total: Int, json: Bool, quiet: Bool) { (self.total, self.json, self.quiet) = (total, json, quiet) }

    func handle(_ event: BatchRun.Event) {
        guard !json else { return }
        switch event {
        case .started: break
        case .postponed(_, let record, let seconds):
            if !quiet { complain("\(printable(record.reference)): \(printable(record.failure?.message ?? "")); again in \(Int(seconds)) s\n") }
        case .finished(_, let record):
            let number = done.update { done -> Int in
                done += 1
                return done
            }
            if let failure = record.failure {
                complain("[\(number)/\(total)] \(printable(record.reference)): \(printable(failure.message))\n")
                if let hint = failure.hint { complain("  \(printable(hint))\n") }
            } else if !quiet {
                complain(
                    "[\(number)/\(total)] \(printable(record.reference)) → \(printable(record.output ?? ""))\(record.status == .skipped ? " (unchanged)" : "")\n"
                )
            }
        }
    }

    func finish(_ summary: BatchRun.Summary, _ directory: BatchDirectory) throws {
        let list = BatchList(summary.failures)
        if list.items.isEmpty { try directory.directory.remove("failed.list") } else { try directory.write(Array(list.text.utf8), as: "failed.list") }
        guard !quiet else { return }
        print("\(summary.done) converted, \(summary.skipped) unchanged, \(summary.failed) failed" + (summary.left > 0 ? ", \(summary.left) not begun" : ""))
    }
}
