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

    /// One table of many images, with all of each below, which is between its beginning and its end (``section(_:number:)``).
    public func page(of all: [ReportSummary]) -> (beginning: String, end: String) {
        var page = Page(title: "\(all.count) images: d2a compare")
        page.add(.element("h1", [], "Docker and d2a: \(counted(all.count, "image"))"))
        let cards = Verdict.allCases.map { verdict in
            Markup.element(
                "div", [("class", "card"), ("data-verdict", verdict.rawValue)],
                [
                    .element("span", [("class", "number \(verdict.rawValue)")], "\(all.count { $0.verdict == verdict })"),
                    .element("span", [("class", "soft")], Self.words(verdict)),
                ])
        }
        page.add(.element("div", [("class", "cards"), ("id", "summary")], cards))
        let columns: [Table.Column] =
            [.init("image", style: "mono"), .init("verdict", isFilter: true)] + PartName.allCases.map { .init(Self.heading($0), style: "number") } + [
                .init("rules", style: "mono")
            ]
        let rows = all.enumerated().map { number, report in
            let parts = PartName.allCases.map { name -> Markup in
                guard let part = report.parts[name] else { return .text("—") }
                return .text(part.isComplete ? "\(part.mattering)" : "not compared")
            }
            let link = Markup.element("a", [("href", "#image-\(number)")], report.subject)
            return Table.Row(
                [link, .text(Self.words(report.verdict))] + parts + [.text(report.rules.joined(separator: ", "))],
                style: report.verdict == .same ? "" : "differs")
        }
        page.add(Table("images", columns, rows).markup)
        return page.halves()
    }

    /// All of one image among many.
    public func section(_ report: Report, number: Int) -> String {
        let details = report.parts.flatMap { part in
            [Markup.element("h3", [], Self.heading(part.name))] + Self.content(part, report, prefix: "image-\(number)-")
        }
        return Page.section(
            "image-\(number)", report.subject,
            report.problem.map { [.element("p", [("class", "incomplete")], "not compared: \($0)")] } ?? [
                .element("details", [], [.element("summary", [], Self.words(report.verdict))] + details)
            ]
        ).html + "\n"
    }

    private static func words(_ verdict: Verdict) -> String {
        switch verdict {
        case .same: "the same in all that matters"
        case .different: "different"
        case .incomplete: "not all compared"
        }
    }

    static func badge(_ verdict: Verdict) -> Markup {
        .element("span", [("class", "badge \(verdict.rawValue)"), ("id", "verdict"), ("data-verdict", verdict.rawValue)], words(verdict))
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

    private static func content(_ part: Part, _ report: Report, prefix: String = "") -> [Markup] {
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
            content.append(differences(part, report, prefix))
            if part.omitted > 0 { content.append(.element("p", [("class", "soft")], "… and \(part.omitted) more.")) }
            let explained = part.counts.keys.sorted().compactMap(RuleTable.rule).filter { !$0.id.hasPrefix("file-") }
            if !explained.isEmpty { content.append(reasons(explained, part, report, prefix)) }
        }
        for matrix in part.matrices { content += [.element("h3", [], matrix.title), table(matrix, part, prefix)] }
        for chart in part.charts {
            let bars = chart.bars.map { Bars.Bar($0.label, left: $0.left ?? 0, right: $0.right) }
            content += [
                .element("h3", [], chart.title),
                .element(
                    "div", [("id", "\(prefix)\(part.name.rawValue)-\(chart.id)")], [Bars(bars, text: { chart.unit == "bytes" ? size($0) : "\($0)" }).markup]),
            ]
        }
        return content
    }

    private static func differences(_ part: Part, _ report: Report, _ prefix: String) -> Markup {
        // Fields of a manifest have nothing further of them.
        let hasFields = part.differences.contains { !$0.field.isEmpty }
        let columns: [Table.Column] = [
            .init("what", style: "mono"), .init(hasFields ? "of it" : "", isFilter: hasFields), .init(report.left.title, style: "mono left"),
            .init(report.right.title, style: "mono right"), .init("rule", isFilter: true), .init("matters", isFilter: true),
        ]
        let rows = part.differences.map {
            Table.Row(
                [
                    $0.subject.isEmpty ? "/" : $0.subject, $0.field, $0.left.map(clipped) ?? "—", $0.right.map(clipped) ?? "—", $0.rule,
                    $0.matters ? "yes" : "no",
                ],
                style: $0.matters ? "differs" : "idle")
        }
        return Table("\(prefix)\(part.name.rawValue)-differences", columns, rows).markup
    }

    private static func reasons(_ rules: [Rule], _ part: Part, _ report: Report, _ prefix: String) -> Markup {
        let columns: [Table.Column] = [
            .init("rule", style: "mono"), .init("what differs"), .init(report.left.title, style: "left"), .init("d2a", style: "right"),
            .init("times", style: "number"),
        ]
        let rows = rules.map { Table.Row([$0.id, $0.title, $0.docker, $0.rocket, "\(part.counts[$0.id] ?? 0)"]) }
        return .join([.element("h3", [], "Why"), Table("\(prefix)\(part.name.rawValue)-reasons", columns, rows).markup])
    }

    private static func table(_ matrix: Matrix, _ part: Part, _ prefix: String) -> Markup {
        let columns = matrix.columns.enumerated().map { Table.Column($1, style: $0 == 0 || $0 == 1 || $0 == 3 ? "mono" : "") }
        let rows = matrix.rows.map { Table.Row([$0.name] + $0.cells.map(clipped), style: $0.differs ? "differs" : "") }
        return Table("\(prefix)\(part.name.rawValue)-\(matrix.id)", columns, rows).markup
    }

    /// What is longer than people read is in the JSON.
    private static func clipped(_ text: String) -> String { text.count > 300 ? text.prefix(200) + " … " + text.suffix(90) : text }

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
