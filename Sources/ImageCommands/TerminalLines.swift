import Glibc

/// Lines at the bottom of a terminal that are drawn again and again.
struct TerminalLines {
    /// Lengths of those that stand there now.
    private var drawn: [Int] = []
    /// How large the window is at the moment.
    let window: () -> (columns: Int, rows: Int)

    init(window: @escaping () -> (columns: Int, rows: Int) = TerminalLines.terminal) { self.window = window }

    static func terminal() -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// What removes the lines.
    mutating func clear() -> String {
        defer { drawn = [] }
        guard !drawn.isEmpty else { return "" }
        // In a window that has become narrower they are folded.
        let columns = window().columns
        let rows = drawn.reduce(0) { $0 + max(1, ($1 + columns - 1) / columns) }
        return "\u{1B}[\(rows)A\r\u{1B}[J"
    }

    /// - Parameter permanent: lines that are left standing above.
    mutating func draw(_ lines: [String], permanent: [String]) -> String {
        let text = clear() + (permanent + lines).map { $0 + "\n" }.joined()
        drawn = lines.map(\.count)
        return text
    }
}
