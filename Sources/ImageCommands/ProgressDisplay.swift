import AppC
import ArgumentParser
import Glibc
import Image
import Program
import Threads

/// How progress of downloads is told on standard error.
public enum ProgressStyle: String, ExpressibleByArgument, CaseIterable, Sendable {
    /// Bars on a terminal, else lines, if it takes long.
    case auto
    case bars, lines, json, none
}

/// Progress of downloads on standard error, in one of ``ProgressStyle``'s ways.
final class ProgressDisplay: Sendable {
    private struct State: @unchecked Sendable {
        var tally: DownloadTally
        var style: ProgressStyle
        /// Seconds that must have passed before lines are written.
        var patience = 0.0
        var bars = ProgressBars()
        /// When anything was told, of a layer where each is told of.
        var lastDraw: [String: Double] = [:]
        var finished = false
    }

    private let state: Monitor<State>

    /// - Parameters:
    ///   - quiet: overrules the style that nobody has chosen.
    ///   - noun: what is downloaded.
    init(_ style: ProgressStyle, quiet: Bool = false, json: Bool = false, of noun: String = "layer") {
        let tally = DownloadTally(noun: noun)
        guard style == .auto else {
            state = Monitor(State(tally: tally, style: style))
            return
        }
        // Scripts hear nothing of what is done in a moment.
        state = Monitor(State(tally: tally, style: quiet ? .none : json ? .json : isatty(STDERR_FILENO) == 1 ? .bars : .lines, patience: 5))
    }

    func handle(_ event: SourceEvent) {
        state.update { state in
            guard !state.finished, state.style != .none else { return }
            let time = monotonicSeconds()
            state.tally.note(event, time)
            switch state.style {
            case .json: Self.tellJSON(event, &state, time)
            case .lines: Self.tellLines(event, &state, time)
            default: Self.draw(event, &state, time)
            }
        }
    }

    /// Nothing more is told.
    func finish() {
        state.update { state in
            if !state.finished, state.style == .bars { complain(state.bars.clear()) }
            state.finished = true
        }
    }

    private static func isDue(_ what: String, every seconds: Double, _ state: inout State, _ time: Double) -> Bool {
        guard time - (state.lastDraw[what] ?? -.infinity) >= seconds else { return false }
        state.lastDraw[what] = time
        return true
    }

    // MARK: Terminals

    private static func draw(_ event: SourceEvent, _ state: inout State, _ time: Double) {
        var permanent: [String] = []
        switch event {
        case .found: return
        case .started: break
        case .received: guard isDue("all", every: 0.1, &state, time) else { return }
        case .finished(let layer): if let line = state.tally.lineOfFinished(layer) { permanent.append(line) }
        }
        if state.tally.isComplete {
            if state.tally.received > 0 { permanent.append(state.tally.summary(time)) }
            complain(state.bars.clear() + permanent.map { $0 + "\n" }.joined())
            state.finished = true
        } else {
            complain(state.bars.draw(&state.tally, permanent: permanent, time))
        }
    }

    // MARK: Lines

    /// One for each layer that was downloaded, and one every ten seconds where that takes longer.
    private static func tellLines(_ event: SourceEvent, _ state: inout State, _ time: Double) {
        if case .found = event { state.lastDraw["all"] = time }
        let seconds = state.tally.seconds(time)
        guard seconds >= state.patience else { return }
        switch event {
        case .found, .started: break
        case .received:
            guard isDue("all", every: 10, &state, time) else { return }
            complain("Downloading: \(state.tally.sum), \(Size.rate(Double(state.tally.received) / max(seconds, 0.001)))\n")
        case .finished(let layer):
            guard let line = state.tally.lineOfFinished(layer), state.tally.wasDownloaded(layer) else { return }
            state.lastDraw["all"] = time
            complain("Downloaded \(line) (\(state.tally.sum))\n")
        }
    }

    // MARK: JSON

    private struct Event: Encodable {
        var event: String
        var layer: String?
        var layers: Int?
        var bytes: Int?
        var downloaded: Bool?
    }

    /// One object a line: `found`, `started`, `received` (at most two a second for each layer) and `finished`.
    private static func tellJSON(_ event: SourceEvent, _ state: inout State, _ time: Double) {
        let told: Event
        switch event {
        case .found(let layers): told = Event(event: "found", layers: layers.count, bytes: state.tally.size)
        case .started(let layer): told = Event(event: "started", layer: layer.label, bytes: layer.size)
        case .received(let layer, let bytes):
            guard isDue(layer.label, every: 0.5, &state, time) else { return }
            told = Event(event: "received", layer: layer.label, bytes: bytes)
        case .finished(let layer): told = Event(event: "finished", layer: layer.label, bytes: layer.size, downloaded: state.tally.wasDownloaded(layer))
        }
        if let line = try? CanonicalJSON.text(told) { complain(line + "\n") }
    }
}
