import Batch
import Diagnostics
import Image

/// How far a batch has come.
struct BatchTally {
    /// An image that is worked on now.
    private struct Work {
        var downloads = DownloadTally()
        var written = 0
    }

    let total: Int
    let references: [String]
    let start: Double
    private(set) var done = 0
    private(set) var failed = 0
    /// Of those done, how many there was something to do for.
    private var converted = 0
    /// Bytes that came from the network, and bytes of ACIs.
    private(set) var fetched = 0
    private(set) var written = 0
    private var work: [Int: Work] = [:]
    private var rate = Rate()

    init(total: Int, references: [String], time: Double) { (self.total, self.references, start) = (total, references, time) }

    var finished: Int { done + failed }

    mutating func note(_ event: BatchRun.Event) {
        switch event {
        case .started(let index): work[index] = Work()
        case .source(let index, let event):
            let before = work[index]?.downloads.received ?? 0
            work[index]?.downloads.note(event, 0)
            // A download that begins anew brings its bytes once more.
            fetched += max(0, (work[index]?.downloads.received ?? 0) - before)
        case .written(let index, let bytes):
            work[index]?.written += bytes
            written += bytes
        case .postponed(let index, _, _): work[index] = nil
        case .finished(let index, let record):
            work[index] = nil
            if record.isDone { done += 1 } else { failed += 1 }
            if record.status == .done { converted += 1 }
        }
    }

    /// What stands on the screen: one line for all, and one for each image that is worked on.
    mutating func screen(_ time: Double, _ window: (columns: Int, rows: Int)) -> [String] {
        let speed = rate.update(written, time)
        let left = total - finished
        var line = "\(done) done, \(failed) failed, \(left) left   \(Size.text(fetched)) fetched, \(Size.text(written)) written, \(Size.rate(speed))"
        if converted > 0, left > 0 { line += "   \(Size.time((time - start) / Double(converted) * Double(left))) left" }
        let room = min(60, window.columns - 8)
        var lines: [String] = []
        if room >= 10 {
            let filled = total == 0 ? room : room * finished / total
            let bar = String(repeating: "=", count: filled) + (filled < room ? ">" : "") + String(repeating: " ", count: max(0, room - filled - 1))
            lines.append("[\(bar)] \(total == 0 ? 100 : finished * 100 / total)%")
        }
        lines.append(line)
        for index in work.keys.sorted().prefix(max(0, window.rows - 4)) {
            let (name, work) = (printable(references[index]), work[index]!)
            let doing = work.written > 0 ? "\(Size.text(work.written)) written" : work.downloads.received > 0 ? work.downloads.sum : "begun"
            // The end of a name tells most.
            let space = max(8, window.columns - doing.count - 6)
            let shown = name.count > space ? "…" + name.suffix(space - 1) : name
            lines.append("  \(shown)  \(doing)")
        }
        return lines.map { String($0.prefix(max(1, window.columns - 1))) }
    }
}
