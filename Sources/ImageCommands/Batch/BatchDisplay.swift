import AppC
import Batch
import Diagnostics
import Glibc
import Image
import Program
import Threads

/// Tells of a batch while it goes on: a screen at the bottom of a terminal, lines elsewhere, or JSON on standard output.
final class BatchDisplay: Sendable {
    enum Style { case screen, lines, json, none }

    private struct State: @unchecked Sendable {
        var tally: BatchTally
        var lines = TerminalLines()
        var finished = false
    }

    private let style: Style
    private let state: Monitor<State>

    init(_ plan: BatchPlan, json: Bool, quiet: Bool) {
        style = json ? .json : quiet ? .none : isatty(STDERR_FILENO) == 1 ? .screen : .lines
        state = Monitor(State(tally: BatchTally(total: plan.chosen.count, references: plan.items.map(\.reference), time: monotonicSeconds())))
        guard style == .screen || style == .json else { return }
        WorkerThread { [state, style] in
            while true {
                usleep(style == .screen ? 200_000 : 1_000_000)
                let goOn = state.update { state -> Bool in
                    if !state.finished { Self.tick(style, &state) }
                    return !state.finished
                }
                if !goOn { return }
            }
        }.detach()
    }

    private static func tick(_ style: Style, _ state: inout State) {
        if style == .json {
            tell(ProgressEvent(state.tally, monotonicSeconds()))
        } else {
            complain(state.lines.draw(state.tally.screen(monotonicSeconds(), state.lines.window()), permanent: []))
        }
    }

    func handle(_ event: BatchRun.Event) {
        state.update { state in
            state.tally.note(event)
            switch style {
            case .json: Self.tellJSON(event, state.tally)
            case .screen:
                // What failed stays; all else is on the screen.
                let permanent = Self.line(event, state.tally, failuresOnly: true)
                if !permanent.isEmpty { complain(state.lines.draw(state.tally.screen(monotonicSeconds(), state.lines.window()), permanent: permanent)) }
            case .lines, .none: for line in Self.line(event, state.tally, failuresOnly: style == .none) { complain(line + "\n") }
            }
        }
    }

    // MARK: Lines

    private static func line(_ event: BatchRun.Event, _ tally: BatchTally, failuresOnly: Bool) -> [String] {
        switch event {
        case .started, .source, .written: return []
        case .postponed(_, let record, let seconds):
            return failuresOnly
                ? [] : ["\(printable(record.reference)): \(printable(record.failure?.message ?? "")); again in \(Int(seconds.rounded(.up))) s"]
        case .finished(_, let record):
            let start = "[\(tally.finished)/\(tally.total)] \(printable(record.reference))"
            if let failure = record.failure { return ["\(start): \(printable(failure.message))"] + (failure.hint.map { ["  " + printable($0)] } ?? []) }
            return failuresOnly ? [] : ["\(start) → \(printable(record.output ?? record.storeID ?? ""))\(record.status == .skipped ? " (unchanged)" : "")"]
        }
    }

    // MARK: JSON

    private struct ImageEvent: Encodable {
        var event: String
        var index: Int
        var reference: String
        var record: BatchRecord?
        /// Until it is tried again.
        var seconds: Double?
    }

    private struct ProgressEvent: Encodable {
        var event = "progress"
        var done: Int
        var failed: Int
        var left: Int
        var fetched: Int
        var written: Int
        var seconds: Double

        init(_ tally: BatchTally, _ time: Double) {
            (done, failed, left) = (tally.done, tally.failed, tally.total - tally.finished)
            (fetched, written, seconds) = (tally.fetched, tally.written, time - tally.start)
        }
    }

    private struct SummaryEvent: Encodable {
        var event = "summary"
        var converted: Int
        var unchanged: Int
        var failed: Int
        var notBegun: Int
        var fetched: Int
        var written: Int
        var seconds: Double
        /// How many images failed, by cause.
        var failures: [String: Int]
    }

    private static func tell(_ event: some Encodable) { if let text = try? CanonicalJSON.text(event) { print(text); fflush(nil) } }

    private static func tellJSON(_ event: BatchRun.Event, _ tally: BatchTally) {
        func image(_ name: String, _ index: Int, _ record: BatchRecord? = nil, seconds: Double? = nil) {
            tell(ImageEvent(event: name, index: index, reference: tally.references[index], record: record, seconds: seconds))
        }
        switch event {
        case .started(let index): image("started", index)
        case .finished(let index, let record): image("finished", index, record)
        case .postponed(let index, let record, let seconds): image("postponed", index, record, seconds: seconds)
        case .source, .written: break
        }
    }

    // MARK: The end

    /// - Parameter failed: the list of what failed, where it is written down.
    func finish(_ summary: BatchRun.Summary, failed: String?) {
        let tally = state.update { state -> BatchTally in
            state.finished = true
            if style == .screen { complain(state.lines.clear()) }
            return state.tally
        }
        switch style {
        case .none: break
        case .json:
            let failures = Dictionary(uniqueKeysWithValues: summary.causes.map { ($0.key.rawValue, $0.value) })
            Self.tell(
                SummaryEvent(
                    converted: summary.done, unchanged: summary.skipped, failed: summary.failed, notBegun: summary.left, fetched: tally.fetched,
                    written: tally.written, seconds: summary.seconds, failures: failures))
        case .screen, .lines:
            let left = summary.left > 0 ? ", \(summary.left) not begun" : ""
            print("\(summary.done) converted, \(summary.skipped) unchanged, \(summary.failed) failed\(left)")
            complain("\(Size.text(tally.fetched)) fetched, \(Size.text(tally.written)) written in \((summary.seconds * 10).rounded() / 10) s\n")
            if !summary.causes.isEmpty {
                let causes = summary.causes.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }
                complain("failed: \(causes.map { "\($0.key.rawValue) \($0.value)" }.joined(separator: ", "))\n")
            }
            if let failed { complain("what is left is listed in \(failed), which d2a batch takes\n") }
        }
    }
}
