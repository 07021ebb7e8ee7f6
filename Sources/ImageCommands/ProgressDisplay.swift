import Digest
import Glibc
import Image
import Program
import Threads

/// Progress of downloads on standard error: a line a layer that redraws itself on a terminal; nothing when it is none.
final class ProgressDisplay: @unchecked Sendable {
    private struct Line {
        var label: String
        var received = 0
        var total: Int?
        var done = false
    }

    private struct State {
        var lines: [Line] = []
        var drawn = 0
        var lastDraw = 0.0
        var finished = false
    }

    private let state = Monitor(State())
    private let enabled: Bool

    init(quiet: Bool) { enabled = !quiet && isatty(STDERR_FILENO) == 1 }

    func handle(_ event: SourceEvent) {
        guard enabled else { return }
        state.update { state in
            guard !state.finished else { return }
            switch event {
            case .found: break
            case .started(let layer):
                state.lines.append(Line(label: Self.short(layer), total: layer.size))
            case .received(let layer, let bytes):
                let label = Self.short(layer)
                if let index = state.lines.firstIndex(where: { $0.label == label }) { state.lines[index].received = bytes }
            case .finished(let layer):
                let label = Self.short(layer)
                if let index = state.lines.firstIndex(where: { $0.label == label }) { state.lines[index].done = true }
            }
            let time = monotonicSeconds()
            if case .received = event, time - state.lastDraw < 0.1 { return }
            state.lastDraw = time
            Self.draw(&state)
        }
    }

    func finish() {
        guard enabled else { return }
        state.update { state in
            guard !state.finished else { return }
            if !state.lines.isEmpty { Self.draw(&state) }
            state.finished = true
        }
    }

    private static func short(_ layer: LayerDescriptor) -> String { String((layer.digest ?? layer.diffID)?.hex.prefix(12) ?? "layer") }

    private static func draw(_ state: inout State) {
        var text = state.drawn > 0 ? "\u{1B}[\(state.drawn)A" : ""
        for line in state.lines {
            text += "\r\u{1B}[K\(line.label)  "
            let total = line.total ?? 0
            let share = line.done ? 1 : total > 0 ? min(1, Double(line.received) / Double(total)) : 0
            let filled = Int(share * 30)
            text += "[" + String(repeating: "=", count: filled) + String(repeating: " ", count: 30 - filled) + "]  "
            text += size(line.done ? max(line.received, total) : line.received) + (total > 0 ? " / " + size(total) : "") + "\n"
        }
        state.drawn = state.lines.count
        complain(text)
    }

    private static func size(_ bytes: Int) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        var value = Double(bytes) / 1024
        for unit in ["KiB", "MiB", "GiB"] {
            if value < 1024 || unit == "GiB" { return "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1024
        }
        return ""
    }
}
