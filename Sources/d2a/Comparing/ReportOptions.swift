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
    func parts() throws -> [PartName]? {
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
            case .text: TextReport(width: Self.width, coloured: output == nil && Self.isColoured, verbose: verbose).text(report)
            case .json: try CanonicalJSON.text(report, pretty: true) + "\n"
            case .html: HTMLReport().html(report)
            }
        try write(text)
    }

    /// The same of many: one table, or one page. An image that can't be compared is one of them.
    func reports(_ subjects: [String], _ body: (String) throws -> Report) throws {
        var all = ReportCollection()
        for subject in subjects {
            do { all.reports.append(try body(subject)) } catch let error as any DiagnosedError {
                all.add(problem: error.diagnosis.message, with: subject)
            } catch is ExitCode {
                // The helper has said why, on standard error.
                all.add(problem: "it can't be read", with: subject)
            }
        }
        do {
            switch chosenFormat {
            case .text: try write(TextReport(width: Self.width, coloured: output == nil && Self.isColoured, verbose: verbose).text(all))
            case .json: try write(CanonicalJSON.text(all, pretty: true) + "\n")
            case .html: try write(HTMLReport().html(all))
            }
        } catch let error as any DiagnosedError {
            complain(error.diagnosis.lines(program: "d2a"))
            throw ExitCode(2)
        }
        if all.verdict != .same { throw ExitCode(all.verdict.exitCode) }
    }

    private func write(_ text: String) throws {
        guard let output else {
            try OpenFile(descriptor: dup(STDOUT_FILENO), path: "standard output").write(text)
            return
        }
        let (directory, name) = try Directory.holding(output)
        let file = try directory.unnamedFile()
        try file.write(text)
        try directory.publish(file, as: name)
    }

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
