import Compare
import Foundation
import Hashing
import Testing

@testable import Page

@Suite struct ReportTests {
    /// Bytes as hostile as names can be.
    private static let hostile: [UInt8] =
        Array("<script>alert(1)</script>&\"'\\".utf8) + [0x1B] + Array("[31m\n\r\t".utf8) + [0xFF, 0xC3] + Array("\u{202E}\u{200B}\u{E9}".utf8) + [0x80]

    @Test func escapingShowsEverythingAndLosesNothing() {
        #expect(escaped("plain é 漢") == "plain é 漢")
        #expect(
            escaped(Self.hostile)
                == "<script>alert(1)</script>&\"'\\\\\\x1b[31m\\x0a\\x0d\\x09\\xff\\xc3\\xe2\\x80\\xae\\xe2\\x80\\x8bé\\x80")
        #expect(escaped([0xC3]) == "\\xc3" && escaped([]) == "")
    }

    private func report(_ differences: [Difference], problem: String? = nil) -> Report {
        var part = Part(.filesystem, left: "a", right: "b")
        for difference in differences { part.add(difference) }
        if let problem { part.add(problem: problem) }
        return Report(.diff, subject: "a and b", left: Side(title: "a"), right: Side(title: "b"), parts: [part])
    }

    @Test func verdictsAndLines() {
        let idle = Difference("file-time", subject: "x", field: "time", left: "1", right: "2", matters: false)
        let real = Difference("file-mode", subject: "y", field: "mode", left: "0644", right: "0755")
        #expect(report([]).verdict == .same && report([idle]).verdict == .same && report([idle, real]).verdict == .different)
        #expect(report([], problem: "no").verdict == .incomplete && report([real], problem: "no").verdict == .incomplete)
        #expect(Report(.diff, subject: "", left: Side(title: ""), right: Side(title: "")).verdict == .incomplete)
        #expect(Verdict.allCases.map(\.exitCode) == [0, 1, 2])
        #expect(TextReport().text(report([])) == "a and b: the same\n")
        #expect(TextReport().text(report([idle])) == "a and b: the same in all that matters (1 difference that doesn't matter)\n")
        let text = TextReport().text(report([idle, real], problem: "gone"))
        #expect(text.contains("~ y: mode  0644 → 0755\n") && text.contains("not compared: gone") && !text.contains("x: time"))
        #expect(TextReport(verbose: true).text(report([idle])).contains("~ x: time  1 → 2\n"))
    }

    @Test func hostileNamesReachNoReportAsTheyAre() throws {
        let difference = Difference("file-content", subject: Self.hostile, field: "content", left: Self.hostile, right: nil as [UInt8]?)
        var hostile = report([difference], problem: String(decoding: Self.hostile, as: UTF8.self))
        hostile.parts[0].matrices = [
            Matrix(id: "m", title: "M", columns: ["a", "b"], rows: [.init(String(decoding: Self.hostile, as: UTF8.self), ["<b>\u{1B}"])])
        ]
        hostile.parts[0].charts = [Chart(id: "c", title: "C", unit: "bytes", bars: [.init("<script>\u{1B}", left: 1, right: 2)])]
        let text = TextReport().text(hostile)
        #expect(text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A } && !text.contains("\u{202E}"))
        let html = HTMLReport().html(hostile)
        #expect(html.components(separatedBy: "<script>").count == 2 && !html.contains("<b>") && !html.contains("\u{1B}") && !html.contains("\u{202E}"))
        #expect(html.contains("&lt;script&gt;alert(1)"))
    }

    @Test func thePolicyNamesThePagesScript() {
        let hex = StreamHasher.digest(Page.script.utf8).hex
        let bytes = stride(from: 0, to: 64, by: 2).map { UInt8(hex.dropFirst($0).prefix(2), radix: 16)! }
        #expect(Page.scriptHash == "sha256-" + base64(bytes))
    }

    @Test func rulesAreWellFormed() {
        #expect(Set(RuleTable.all.map(\.id)).count == RuleTable.all.count)
        for rule in RuleTable.all {
            #expect(rule.id.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x2D || (0x30...0x39).contains($0) }, "\(rule.id)")
            #expect(!rule.title.isEmpty && !rule.docker.isEmpty && !rule.rocket.isEmpty && !rule.docker.contains("|"), "\(rule.id)")
        }
    }
}

private func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var result = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = Array(bytes[start..<min(start + 3, bytes.count)])
        let number = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        for place in 0..<4 { result.append(place <= group.count ? digits[number >> (18 - 6 * place) & 63] : "=") }
    }
    return result
}
