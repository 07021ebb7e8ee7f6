import Batch
import Conversion
import Files
import Glibc
import Image
import Location
import Registry
import Squash
import Threads

/// Converts the images of a list, several at once, in one process: what they share is fetched and inflated once.
final class BatchRun: Sendable {
    /// How it ended.
    struct Summary: Sendable {
        var done = 0
        var skipped = 0
        var failed = 0
        /// Not begun, since another failed.
        var left = 0
        /// Why images failed.
        var causes: [BatchRecord.Cause: Int] = [:]
        var seconds = 0.0
        var failures: [BatchItem] = []
    }

    /// What is told while it goes on.
    enum Event: Sendable {
        case started(index: Int)
        case finished(index: Int, BatchRecord)
        case source(index: Int, SourceEvent)
        /// So many more bytes of its ACI.
        case written(index: Int, bytes: Int)
        /// It will be tried once more, in so many seconds.
        case postponed(index: Int, BatchRecord, seconds: Double)
    }

    private struct Work {
        var index: Int
        var attempt: Int
        /// On the monotonic clock.
        var notBefore = 0.0
        var isAlone = false
    }

    private struct State {
        var waiting: [Work]
        var postponed: [Work] = []
        /// Those that need all the room there is: done at the end, one at a time.
        var alone: [Work] = []
        var exclusive = false
        var running = 0
        var stopped = false
        var records: [Int: BatchRecord] = [:]
    }

    private let plan: BatchPlan
    private let settings: BatchSettings
    private let directory: BatchDirectory
    private let tell: @Sendable (Event) -> Void
    private let conversion: BatchConversion
    private let state: Monitor<State>

    init(_ plan: BatchPlan, _ settings: BatchSettings, _ directory: BatchDirectory, cache: BlobCache?, tell: @escaping @Sendable (Event) -> Void) {
        (self.plan, self.settings, self.directory, self.tell) = (plan, settings, directory, tell)
        conversion = BatchConversion(plan, settings, directory, cache: cache, tell: tell)
        // The one that comes first is taken from the end.
        state = Monitor(State(waiting: plan.chosen.reversed().map { Work(index: $0, attempt: 1) }))
    }

    func run() -> Summary {
        let start = monotonicSeconds()
        let threads = (0..<min(settings.budget.workers, plan.chosen.count)).map { _ in WorkerThread { [self] in while let work = next() { perform(work) } } }
        for thread in threads { thread.join() }
        var summary = Summary()
        let records = state.update { $0.records }
        for index in plan.chosen {
            guard let record = records[index] else {
                summary.left += 1
                summary.failures.append(plan.items[index])
                continue
            }
            switch record.status {
            case .done: summary.done += 1
            case .skipped: summary.skipped += 1
            case .failed:
                summary.failed += 1
                summary.failures.append(plan.items[index])
                if let cause = record.failure?.cause { summary.causes[cause, default: 0] += 1 }
            }
        }
        summary.seconds = monotonicSeconds() - start
        return summary
    }

    /// Waits for something to do; nil where nothing is left.
    private func next() -> Work? {
        while true {
            let found = state.update { state -> Work?? in
                if state.stopped { return .some(nil) }
                if state.exclusive { return nil }
                let time = monotonicSeconds()
                if let place = state.postponed.firstIndex(where: { $0.notBefore <= time }) {
                    state.running += 1
                    return state.postponed.remove(at: place)
                }
                if let work = state.waiting.popLast() {
                    state.running += 1
                    return work
                }
                guard state.postponed.isEmpty, state.running == 0 else { return nil }
                guard let work = state.alone.popLast() else { return .some(nil) }
                (state.running, state.exclusive) = (1, true)
                return work
            }
            if let found { return found }
            // Whoever is at work may postpone what it does.
            usleep(20_000)
        }
    }

    private func perform(_ work: Work) {
        tell(.started(index: work.index))
        guard var record = conversion.convert(work.index, alone: work.isAlone) else {
            state.update { state in
                state.running -= 1
                state.alone.append(Work(index: work.index, attempt: work.attempt, isAlone: true))
            }
            return
        }
        if record.status != .skipped { record.attempts = work.attempt }
        if let failure = record.failure, failure.cause.isPassing, work.attempt < settings.attempts {
            let wait = min(settings.delay * Double(1 << min(work.attempt - 1, 10)), 300)
            tell(.postponed(index: work.index, record, seconds: wait))
            state.update { state in
                state.running -= 1
                if work.isAlone { state.exclusive = false }
                state.postponed.append(
                    Work(index: work.index, attempt: work.attempt + 1, notBefore: monotonicSeconds() + wait, isAlone: work.isAlone))
            }
            return
        }
        // What can't be written down is done again the next time: no reason to give it up now.
        try? directory.write(record)
        tell(.finished(index: work.index, record))
        state.update { state in
            state.running -= 1
            if work.isAlone { state.exclusive = false }
            state.records[work.index] = record
            if record.status == .failed, settings.failFast { state.stopped = true }
        }
    }
}
