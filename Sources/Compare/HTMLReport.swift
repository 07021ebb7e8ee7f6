import Page

/// A report as one page that needs no network.
public struct HTMLReport {
    public init() {}

    public func html(_ report: Report) -> String {
        var page = Page(title: "\(report.subject): d2a \(report.command.rawValue)")
        page.add(
            .element("h1", [], [.text(report.subject)]),
            .element(
                "p", [("class", "soft")],
                [
                    Self.badge(report.verdict), .element("span", [("class", "key left")]), .text(report.left.title),
                    .element("span", [("class", "key right")]), .text(report.right.title),
                ]))
        page.add(.element("div", [("class", "cards"), ("id", "summary")], report.parts.map(Self.card)))
        for part in report.parts { page.section(part.name.rawValue, Self.heading(part.name), Self.content(part, report)) }
        return page.html()
    }

    static func badge(_ verdict: Verdict) -> Markup {
        let text =
            switch verdict {
            case .same: "the same in all that matters"
            case .different: "different"
            case .incomplete: "not all compared"
            }
        return .element("span", [("class", "badge \(verdict.rawValue)"), ("id", "verdict"), ("data-verdict", verdict.rawValue)], text)
    }

    private static func heading(_ name: PartName) -> String {
        switch name {
        case .manifest: "Manifest"
        case .filesystem: "File system"
        case .process: "Process"
        }
    }

    private static func card(_ part: Part) -> Markup {
        let idle = part.total - part.mattering
        let style = !part.isComplete ? "incomplete" : part.differs ? "different" : "same"
        return .element(
            "div", [("class", "card"), ("data-part", part.name.rawValue)],
            [
                .element("a", [("href", "#\(part.name.rawValue)")], heading(part.name)),
                .element("span", [("class", "number \(style)")], [.text("\(part.mattering)")]),
                .element(
                    "span", [("class", "soft")],
                    (part.mattering == 1 ? "difference that matters" : "differences that matter")
                        + ", \(idle) that \(idle == 1 ? "doesn't" : "don't"), of \(part.compared) compared"),
            ] + part.problems.map { .element("p", [("class", "incomplete")], "not compared: \($0)") })
    }

    private static func content(_ part: Part, _ report: Report) -> [Markup] {
        var content: [Markup] = [
            .element(
                "p", [("class", "soft")],
                [
                    .element("span", [("class", "key left")]), .text(part.left), .element("span", [("class", "key right")]), .text(part.right),
                ])
        ]
        content += part.problems.map { .element("p", [("class", "incomplete")], "not compared: \($0)") }
        if part.differences.isEmpty {
            if part.isComplete { content.append(.element("p", [("class", "same")], "Nothing is different.")) }
        } else {
            content.append(differences(part, report))
            if part.omitted > 0 { content.append(.element("p", [("class", "soft")], "… and \(part.omitted) more.")) }
            let explained = part.counts.keys.sorted().compactMap(RuleTable.rule).filter { !$0.id.hasPrefix("file-") }
            if !explained.isEmpty { content.append(reasons(explained, part)) }
        }
        for matrix in part.matrices { content += [.element("h3", [], matrix.title), table(matrix, part)] }
        for chart in part.charts {
            let bars = chart.bars.map { Bars.Bar($0.label, left: $0.left ?? 0, right: $0.right) }
            content += [
                .element("h3", [], chart.title),
                .element("div", [("id", "\(part.name.rawValue)-\(chart.id)")], [Bars(bars, text: { chart.unit == "bytes" ? size($0) : "\($0)" }).markup]),
            ]
        }
        return content
    }

    private static func differences(_ part: Part, _ report: Report) -> Markup {
        let columns: [Table.Column] = [
            .init("what", style: "mono"), .init("of it", isFilter: true), .init(report.left.title, style: "mono left"),
            .init(report.right.title, style: "mono right"), .init("rule", isFilter: true), .init("matters", isFilter: true),
        ]
        let rows = part.differences.map {
            Table.Row(
                [$0.subject.isEmpty ? "/" : $0.subject, $0.field, $0.left ?? "—", $0.right ?? "—", $0.rule, $0.matters ? "yes" : "no"],
                style: $0.matters ? "differs" : "idle")
        }
        return Table("\(part.name.rawValue)-differences", columns, rows).markup
    }

    private static func reasons(_ rules: [Rule], _ part: Part) -> Markup {
        let columns: [Table.Column] = [
            .init("rule", style: "mono"), .init("what differs"), .init("Docker", style: "left"), .init("d2a", style: "right"), .init("times", style: "number"),
        ]
        let rows = rules.map { Table.Row([$0.id, $0.title, $0.docker, $0.rocket, "\(part.counts[$0.id] ?? 0)"]) }
        return .join([.element("h3", [], "Why"), Table("\(part.name.rawValue)-reasons", columns, rows).markup])
    }

    private static func table(_ matrix: Matrix, _ part: Part) -> Markup {
        let columns = matrix.columns.enumerated().map { Table.Column($1, style: $0 == 0 ? "mono" : "") }
        let rows = matrix.rows.map { Table.Row([$0.name] + $0.cells, style: $0.differs ? "differs" : "") }
        return Table("\(part.name.rawValue)-\(matrix.id)", columns, rows).markup
    }

    /// Bytes in units of 1024, as people read them.
    static func size(_ bytes: Int) -> String {
        var value = Double(bytes)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 { (value, unit) = (value / 1024, next) }
        if unit == "B" { return "\(bytes) B" }
        let tenths = Int((value * 10).rounded())
        return value < 10 ? "\(tenths / 10).\(tenths % 10) \(unit)" : "\(Int(value.rounded())) \(unit)"
    }
}
