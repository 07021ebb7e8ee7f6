/// Lines at the bottom of a terminal that are drawn again and again: one for each layer that comes, as many as there is room for, and
/// one for all. What is finished stays above them and scrolls away.
struct ProgressBars {
    private var lines: TerminalLines

    init(window: @escaping () -> (columns: Int, rows: Int) = TerminalLines.terminal) { lines = TerminalLines(window: window) }

    /// What removes the lines.
    mutating func clear() -> String { lines.clear() }

    mutating func draw(_ tally: inout DownloadTally, permanent: [String], _ time: Double) -> String {
        let (columns, rows) = lines.window()
        var bars = tally.coming(time).prefix(max(0, rows - 2)).map { layer, rate in
            Self.line(
                Size.short(layer.label), share: Self.share(layer.received, layer.size),
                "\(Size.text(layer.received))\(layer.size.map { " / \(Size.text($0))" } ?? "")  \(Size.rate(rate))", columns)
        }
        let rate = tally.rate.update(tally.received, time)
        var left = ""
        if let size = tally.size, rate > 0 { left = "  \(Size.time(Double(size - tally.here) / rate))" }
        bars.append(
            Self.line(
                "\(tally.doneCount)/\(tally.layers.count) \(tally.noun)s", share: Self.share(tally.here, tally.size),
                "\(Size.text(tally.here))\(tally.size.map { " / \(Size.text($0))" } ?? "")  \(Size.rate(rate))\(left)", columns))
        return lines.draw(bars, permanent: permanent)
    }

    private static func share(_ part: Int, _ whole: Int?) -> Double? { whole.map { $0 > 0 ? min(1, Double(part) / Double($0)) : 1 } }

    /// Never wider than the window: the bar shrinks first and goes, then the line is cut.
    private static func line(_ label: String, share: Double?, _ figures: String, _ columns: Int) -> String {
        let label = label + String(repeating: " ", count: max(0, 12 - label.count))
        let room = min(40, columns - 1 - label.count - 36)
        guard room >= 5, let share else { return String("\(label)  \(figures)".prefix(max(1, columns - 1))) }
        let filled = Int(share * Double(room))
        let bar = String(repeating: "=", count: filled) + (filled < room ? ">" : "") + String(repeating: " ", count: max(0, room - filled - 1))
        return String("\(label)  [\(bar)]  \(figures)".prefix(columns - 1))
    }
}
