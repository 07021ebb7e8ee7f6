/// A report for the terminal.
public struct TextReport {
    /// Characters a line; longer values are cut in their middle.
    public var width: Int
    public var coloured: Bool
    /// Lists also what doesn't matter.
    public var verbose: Bool

    public init(width: Int = 100, coloured: Bool = false, verbose: Bool = false) {
        (self.width, self.coloured, self.verbose) = (max(40, width), coloured, verbose)
    }

    private enum Colour: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    private func paint(_ text: String, _ colour: Colour) -> String { coloured ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text }

    /// One line where nothing that matters is different and all was compared.
    public func text(_ report: Report) -> String {
        let idle = report.parts.reduce(0) { $0 + $1.total - $1.mattering }
        let rest = idle == 0 ? "" : " (\(counted(idle, "difference")) that \(idle == 1 ? "doesn't" : "don't") matter)"
        switch report.verdict {
        case .same: if !verbose || idle == 0 { return "\(report.subject): \(paint("the same", .green))\(idle == 0 ? "" : " in all that matters")\(rest)\n" }
        case .different, .incomplete: break
        }
        let mattering = report.parts.reduce(0) { $0 + $1.mattering }
        let problems = report.parts.reduce(0) { $0 + $1.problems.count }
        var outcome = mattering == 0 ? "no difference that matters" : counted(mattering, "difference")
        if problems > 0 { outcome += ", and not all could be compared" }
        var lines = [
            "\(paint(report.subject, .bold)): \(paint(outcome, report.verdict == .same ? .green : .yellow))\(rest)",
            "\(paint("-", .red)) \(report.left.title)   \(paint("+", .green)) \(report.right.title)",
        ]
        for part in report.parts { lines += self.lines(of: part) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A table of many images that is written line by line.
    public struct Table {
        private let text: TextReport
        private let names: [PartName]
        private let first: Int

        /// - Parameters:
        ///   - names: the parts that are compared.
        ///   - subjects: what the images are called.
        public init(_ text: TextReport, _ names: [PartName], subjects: [String]) {
            (self.text, self.names) = (text, names)
            first = min(max(20, text.width - 18 * names.count - 1), subjects.map { escaped($0).count }.max() ?? 0)
        }

        public var heading: String {
            text.paint(padded("image", first), .bold) + names.map { "  " + text.paint(padded($0.rawValue, 16), .bold) }.joined() + "\n"
        }

        public func line(_ report: ReportSummary) -> String {
            var line = padded(text.fitted(report.subject, first), first)
            if let problem = report.problem {
                line += "  " + text.paint("not compared: \(problem)", .yellow)
            } else {
                for name in names {
                    let (words, colour) = cell(report.parts[name])
                    line += "  " + text.paint(padded(words, 16), colour)
                }
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }

        public func end(_ all: [ReportSummary]) -> String {
            let counts = Verdict.allCases.map { verdict in all.count { $0.verdict == verdict } }
            return "\(counted(all.count, "image")): \(counts[0]) the same, \(counts[1]) different, \(counts[2]) not all compared\n"
        }

        private func cell(_ part: ReportSummary.Part?) -> (String, Colour) {
            guard let part else { return ("-", .dim) }
            if !part.isComplete { return ("not compared", .yellow) }
            return part.mattering > 0 ? (counted(part.mattering, "difference"), .red) : ("same", .green)
        }

        private func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    }

    private func lines(of part: Part) -> [String] {
        let shown = part.differences.filter { verbose || $0.matters }
        guard !shown.isEmpty || !part.isComplete else { return [] }
        var lines = ["", paint(part.name.rawValue, .bold) + paint(" (\(part.left) | \(part.right))", .dim)]
        for problem in part.problems { lines.append("  " + paint("not compared: ", .yellow) + problem) }
        // What nothing explains comes first, as it lies in the tree; then rule by rule.
        let groups = Dictionary(grouping: shown) { $0.rule.hasPrefix("file-") ? "" : $0.rule }
        for (rule, differences) in groups.sorted(by: { $0.key < $1.key }) {
            if let known = RuleTable.rule(rule) { lines += explanation(known) }
            for difference in differences { lines += self.lines(of: difference) }
        }
        if part.omitted > 0 { lines.append("  … and \(part.omitted) more") }
        return lines
    }

    private func explanation(_ rule: Rule) -> [String] {
        wrapped("\(rule.title) [\(rule.id)]: \(rule.engine) \(rule.docker); d2a \(rule.rocket)").map { "  " + paint($0, .dim) }
    }

    private func lines(of difference: Difference) -> [String] {
        let subject = difference.subject.isEmpty ? "/" : difference.subject
        let name = difference.field.isEmpty ? subject : "\(subject): \(difference.field)"
        switch (difference.left, difference.right) {
        case (let left?, nil): return ["  " + paint("-", .red) + " " + fitted("\(name)  \(left)", width - 4)]
        case (nil, let right?): return ["  " + paint("+", .green) + " " + fitted("\(name)  \(right)", width - 4)]
        default:
            let (left, right) = (difference.left ?? "", difference.right ?? "")
            let room = width - 8 - name.count
            if left.count + right.count <= room { return ["  " + paint("~", .yellow) + " \(name)  \(paint(left, .red)) → \(paint(right, .green))"] }
            return [
                "  " + paint("~", .yellow) + " " + fitted(name, width - 4), "    " + paint("- " + fitted(left, width - 6), .red),
                "    " + paint("+ " + fitted(right, width - 6), .green),
            ]
        }
    }

    private func fitted(_ text: String, _ room: Int) -> String {
        guard text.count > room else { return text }
        return text.prefix(room / 2) + "…" + text.suffix(room - room / 2 - 1)
    }

    private func wrapped(_ text: String) -> [String] {
        var lines = [""]
        for word in text.split(separator: " ") {
            if lines[lines.count - 1].count + word.count + 3 > width, !lines[lines.count - 1].isEmpty { lines.append("") }
            lines[lines.count - 1] += (lines[lines.count - 1].isEmpty ? "" : " ") + word
        }
        return lines
    }
}

func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
