import AppC
import ArgumentParser
import Compare
import Diagnostics
import Files
import Glibc
import Program

/// What is compared, and how the report looks and where it goes.
struct ReportOptions: ParsableArguments {
    enum Format: String, ExpressibleByArgument, CaseIterable { case text, json, html }

    @Option(help: ArgumentHelp("What to compare: manifest, filesystem, process, with commas between. (default: all there is)", valueName: "part,…"))
    var only: String?
    @Option(help: "How the report is written. (default: as the name of FILE ends, else text)") var format: Format?
    @Option(name: [.short, .long], help: ArgumentHelp("Write the report to a file.", valueName: "file")) var output: String?
    @Flag(name: [.short, .long], help: "List also differences that don't matter.") var verbose = false

    /// What was asked for; nil where nothing was said.
    func parts() throws -> [PartName]? { try Self.parts(only) }

    static func parts(_ only: String?) throws -> [PartName]? {
        guard let only else { return nil }
        let names = try only.split(separator: ",").map { word in
            guard let part = PartName(rawValue: String(word)) else { throw CompareError.unknownPart(String(word)) }
            return part
        }
        return PartName.allCases.filter { names.contains($0) }
    }

    private var chosenFormat: Format { format ?? output.flatMap { Format(rawValue: String($0.split(separator: ".").last ?? "")) } ?? .text }

    /// Writes the report, to the file as one whole or to standard output.
    func write(_ report: Report) throws {
        let text =
            switch chosenFormat {
            case .text: textReport.text(report)
            case .json: try CanonicalJSON.text(report, pretty: true) + "\n"
            case .html: HTMLReport().html(report)
            }
        try write(text)
    }

    /// The same of many: one table, or one page, of which each report is written as it comes. An image that can't be compared is one of them.
    func reports(_ subjects: [String], _ body: (String) throws -> Report) throws {
        do {
            let verdict = try toOutput { file in
                switch chosenFormat {
                case .text:
                    let table = TextReport.Table(textReport, try parts() ?? PartName.allCases, subjects: subjects)
                    try file.write(table.heading)
                    let all = try Self.each(subjects, body) { report, _ in try file.write(table.line(ReportSummary(report))) }
                    try file.write(table.end(all))
                    return all.verdict
                case .json:
                    try file.write("{\"reports\":[")
                    let all = try Self.each(subjects, body) { report, number in
                        try file.write((number == 0 ? "\n" : ",\n") + CanonicalJSON.text(report))
                    }
                    try file.write("\n],\"verdict\":\"\(all.verdict.rawValue)\"}\n")
                    return all.verdict
                case .html:
                    // The table that comes first says how all have ended.
                    let details = try Directory.open(environmentVariable("TMPDIR") ?? "/tmp").unnamedFile()
                    let all = try Self.each(subjects, body) { try details.write(HTMLReport().section($0, number: $1)) }
                    let (beginning, end) = HTMLReport().page(of: all)
                    try file.write(beginning)
                    try details.seek(to: 0)
                    try file.write(contentsOf: details)
                    try file.write(end)
                    return all.verdict
                }
            }
            if verdict != .same { throw ExitCode(verdict.exitCode) }
        } catch let error as any DiagnosedError {
            complain(error.diagnosis.lines(program: "d2a"))
            throw ExitCode(2)
        }
    }

    private static func each(_ subjects: [String], _ body: (String) throws -> Report, _ write: (Report, Int) throws -> Void) throws -> [ReportSummary] {
        try subjects.enumerated().map { number, subject in
            let report: Report
            do { report = try body(subject) } catch let error as any DiagnosedError {
                report = .failed(subject, problem: error.diagnosis.message)
            } catch is ExitCode {
                // The helper has said why, on standard error.
                report = .failed(subject, problem: "it can't be read")
            }
            try write(report, number)
            return ReportSummary(report)
        }
    }

    private func write(_ text: String) throws { try toOutput { try $0.write(text) } }

    /// A file appears when it is whole.
    private func toOutput<T>(_ body: (OpenFile) throws -> T) throws -> T {
        guard let output else { return try body(OpenFile(descriptor: dup(STDOUT_FILENO), path: "standard output")) }
        let (directory, name) = try Directory.holding(output)
        let pending = try PendingFile(in: directory)
        let result = try body(pending.file)
        try pending.publish(as: name)
        return result
    }

    private var textReport: TextReport { TextReport(width: Self.width, coloured: output == nil && Self.isColoured, verbose: verbose) }

    private static var isColoured: Bool { isatty(STDOUT_FILENO) == 1 && environmentVariable("NO_COLOR") == nil && environmentVariable("TERM") != "dumb" }

    private static var width: Int {
        if let columns = environmentVariable("COLUMNS").flatMap({ Int($0) }) { return columns }
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
    }

    /// Compares, writes the report, and ends as diff(1) does: 0 the same in all that matters, 1 different, 2 not all could be compared.
    func report(_ body: () throws -> Report) throws {
        let report: Report
        do {
            report = try body()
            try write(report)
        } catch let error as any DiagnosedError {
            complain(error.diagnosis.lines(program: "d2a"))
            throw ExitCode(2)
        } catch is ExitCode { throw ExitCode(2) }
        if report.verdict != .same { throw ExitCode(report.verdict.exitCode) }
    }
}
