import Diagnostics

/// What comparing two things brought: the same data make the text, the JSON (docs/compare.schema.json) and the page.
public struct Report: Sendable, Hashable, Encodable {
    public enum Command: String, Sendable, Codable { case compare, diff }

    public var command: Command
    /// What was compared, as the person named it; both sides' names with `diff`. Escaped.
    public var subject: String
    public var left: Side
    public var right: Side
    /// In the order manifest, filesystem, process; those that were asked for.
    public var parts: [Part]
    /// Why nothing at all was compared, escaped.
    public fileprivate(set) var problem: String?

    public init(_ command: Command, subject: String, left: Side, right: Side, parts: [Part] = []) {
        (self.command, self.subject, self.left, self.right, self.parts) = (command, escaped(subject), left, right, parts)
    }

    public var verdict: Verdict {
        if parts.isEmpty || parts.contains(where: { !$0.isComplete }) { return .incomplete }
        return parts.contains { $0.differs } ? .different : .same
    }

    private enum CodingKeys: String, CodingKey { case command, subject, left, right, verdict, parts, problem }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(command, forKey: .command)
        try container.encode(subject, forKey: .subject)
        try container.encode(left, forKey: .left)
        try container.encode(right, forKey: .right)
        try container.encode(verdict, forKey: .verdict)
        try container.encode(parts, forKey: .parts)
        try container.encodeIfPresent(problem, forKey: .problem)
    }
}

/// What is kept of a report among many, once it is written.
public struct ReportSummary: Sendable, Hashable {
    public struct Part: Sendable, Hashable {
        public var isComplete: Bool
        public var mattering: Int
    }
    /// Escaped.
    public var subject: String
    public var verdict: Verdict
    public var problem: String?
    public var parts: [PartName: Part]
    /// The rules of what matters, of those differences that are kept; sorted.
    public var rules: [String]

    public init(_ report: Report) {
        (subject, verdict, problem) = (report.subject, report.verdict, report.problem)
        parts = Dictionary(uniqueKeysWithValues: report.parts.map { ($0.name, Part(isComplete: $0.isComplete, mattering: $0.mattering)) })
        rules = Set(report.parts.flatMap { $0.differences.filter(\.matters).map(\.rule) }).sorted()
    }
}

extension Report {
    /// Of what could not be compared at all.
    public static func failed(_ subject: String, problem: String) -> Report {
        var report = Report(.compare, subject: subject, left: Side(title: "Docker"), right: Side(title: "d2a"))
        report.problem = escaped(problem)
        return report
    }
}

extension [ReportSummary] {
    /// The worst of all; that of nothing is that nothing was compared.
    public var verdict: Verdict {
        let verdicts = map(\.verdict)
        return isEmpty || verdicts.contains(.incomplete) ? .incomplete : verdicts.contains(.different) ? .different : .same
    }
}

/// One of the two.
public struct Side: Sendable, Hashable, Codable {
    /// `Docker 20.10.24`, `d2a`, or what the person named. Escaped.
    public var title: String
    /// The image ID there, where it has one. Escaped.
    public var id: String?

    public init(title: String, id: String? = nil) { (self.title, self.id) = (escaped(title), id.map { escaped($0) }) }
}

/// How a comparison ended.
public enum Verdict: String, Sendable, Codable, CaseIterable {
    /// In all that matters.
    case same
    case different
    /// Something that was asked for could not be compared.
    case incomplete

    /// As with diff(1): 0, 1, 2.
    public var exitCode: Int32 {
        switch self {
        case .same: 0
        case .different: 1
        case .incomplete: 2
        }
    }
}

/// What was compared of one kind of thing.
public struct Part: Sendable, Hashable, Codable {
    public var name: PartName
    /// How each side was looked at: `docker export`, `the rendered tree`.
    public var left: String
    public var right: String
    /// How many things were compared: fields, paths.
    public var compared = 0
    /// Why not all was compared, escaped; empty where all was.
    public var problems: [String] = []
    /// The first ``limit`` of them.
    public private(set) var differences: [Difference] = []
    /// How many differences each rule explains, all of them.
    public private(set) var counts: [String: Int] = [:]
    /// How many of all differences matter.
    public private(set) var mattering = 0
    /// What isn't different, but good to know: `fields`, `capabilities`.
    public var matrices: [Matrix] = []
    public var charts: [Chart] = []

    /// Differences that are kept: so memory is bounded whatever the sides are.
    public static let limit = 10_000

    public init(_ name: PartName, left: String, right: String) { (self.name, self.left, self.right) = (name, left, right) }

    public mutating func add(_ difference: Difference) {
        counts[difference.rule, default: 0] += 1
        if difference.matters { mattering += 1 }
        if differences.count < Self.limit { differences.append(difference) }
    }

    public mutating func add(problem: String) { problems.append(escaped(problem)) }

    public var isComplete: Bool { problems.isEmpty }
    public var differs: Bool { mattering > 0 }
    /// All differences, also those that aren't kept.
    public var total: Int { counts.values.reduce(0, +) }
    public var omitted: Int { total - differences.count }
}

/// Rows of things with what each side makes of them. Texts are escaped by ``Row/init(_:_:matters:)``.
public struct Matrix: Sendable, Hashable, Codable {
    public struct Row: Sendable, Hashable, Codable {
        public var name: String
        /// One for each column.
        public var cells: [String]
        /// Whether the row shows a difference.
        public var differs: Bool

        public init(_ name: String, _ cells: [String], differs: Bool = false) {
            (self.name, self.cells, self.differs) = (escaped(name), cells.map { escaped($0) }, differs)
        }
    }

    /// Lower case with dashes.
    public var id: String
    public var title: String
    /// The first is what rows are called.
    public var columns: [String]
    public var rows: [Row]

    public init(id: String, title: String, columns: [String], rows: [Row]) { (self.id, self.title, self.columns, self.rows) = (id, title, columns, rows) }
}

/// Quantities to be drawn as bars.
public struct Chart: Sendable, Hashable, Codable {
    public struct Bar: Sendable, Hashable, Codable {
        public var label: String
        /// Of each side; nil where it has none.
        public var left: Int?
        public var right: Int?

        public init(_ label: String, left: Int?, right: Int?) { (self.label, self.left, self.right) = (escaped(label), left, right) }
    }

    public var id: String
    public var title: String
    /// `bytes`, `entries`.
    public var unit: String
    public var bars: [Bar]

    public init(id: String, title: String, unit: String, bars: [Bar]) { (self.id, self.title, self.unit, self.bars) = (id, title, unit, bars) }
}

/// Nothing can be compared.
public enum CompareError: DiagnosedError, Equatable {
    case noManifest(String)
    case unknownPart(String)
    case badConfig(String)
    /// What was named is no Docker image.
    case noDockerImage(String)
    case changedMeanwhile(String)

    public var diagnosis: Diagnosis {
        switch self {
        case .noManifest(let name):
            Diagnosis("\(name) is a directory without a manifest: --only filesystem compares the rest")
        case .badConfig(let id): Diagnosis("the configuration of \(id) is not a JSON object", hint: "ask whoever made the image")
        case .noDockerImage(let text):
            Diagnosis("\(text) is no Docker image", hint: "name one as its source has it: a reference, an archive, a layout or docker-daemon:NAME")
        case .changedMeanwhile(let text): Diagnosis("\(text) became another image while it was compared", hint: "run the command again, or name a digest")
        case .unknownPart(let text): Diagnosis("\"\(text)\" can't be compared", hint: "--only takes manifest, filesystem and process, with commas between")
        }
    }
}
