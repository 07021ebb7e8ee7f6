import Foundation
import Testing

private let ready =
    Lab.isRoot && ["python3", "unshare", "ip", "docker-registry", "skopeo", "umoci", "busybox"].allSatisfy { Lab.has($0) }

/// The manual's examples do what the manual shows (`Tests/Fixtures/docs.py`).
@Suite(.enabled(if: ready, "needs root, python3, iproute2, docker-registry, skopeo, umoci and busybox (make setup)"))
struct DocsTests {
    /// README and docs/*.md, those that have examples.
    private static let pages =
        (["README.md"] + ((try? FileManager.default.contentsOfDirectory(atPath: Lab.package + "/docs")) ?? []).sorted().map { "docs/" + $0 })
        .filter { $0.hasSuffix(".md") && ((try? String(contentsOfFile: "\(Lab.package)/\($0)", encoding: .utf8))?.contains("\n```console\n") ?? false) }

    @Test(arguments: pages) func examples(_ page: String) throws {
        let outcome = try Lab.run("python3", ["\(Lab.package)/Tests/Fixtures/docs.py", Lab.programs, "\(Lab.package)/\(page)"])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    /// Every headline of the page of failures is in the sources, each part of it between `…` in one line and in order.
    @Test func messagesAreThoseOfThePrograms() throws {
        let page = try String(contentsOfFile: "\(Lab.package)/docs/troubleshooting.md", encoding: .utf8)
        let headlines = page.split(separator: "\n").filter { $0.hasPrefix("### `") }.map { $0.dropFirst(5).dropLast() }
        #expect(headlines.count > 20)
        let files = (FileManager.default.enumerator(atPath: Lab.package + "/Sources")?.compactMap { $0 as? String } ?? []).filter { $0.hasSuffix(".swift") }
        let lines = try files.flatMap { try String(contentsOfFile: "\(Lab.package)/Sources/\($0)", encoding: .utf8).split(separator: "\n") }
            .map { $0.replacing("\\\"", with: "\"") }
        for headline in headlines {
            let parts = headline.split(separator: "…").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
            let isSaid = lines.contains { line in
                var rest = line[...]
                return parts.allSatisfy { part in
                    guard let found = rest.range(of: part) else { return false }
                    rest = rest[found.upperBound...]
                    return true
                }
            }
            #expect(isSaid, "docs/troubleshooting.md: no program says “\(headline)”")
        }
    }

    private struct Command: Decodable {
        var commandName: String
        var abstract: String?
        var subcommands: [Command]?

        /// It, or those below it.
        func leaves(_ path: String) -> [(name: String, abstract: String)] {
            let name = path.isEmpty ? commandName : "\(path) \(commandName)"
            let below = (subcommands ?? []).filter { $0.commandName != "help" }
            return below.isEmpty ? [(name, abstract ?? "")] : below.flatMap { $0.leaves(name) }
        }
    }

    /// Every command stands on the page of commands, with the words of its `--help` and an example that calls it.
    @Test func everyCommandHasAnExample() throws {
        struct Help: Decodable { var command: Command }
        let page = try String(contentsOfFile: "\(Lab.package)/docs/commands.md", encoding: .utf8)
        let sections = page.components(separatedBy: "\n### ").dropFirst().map { $0.components(separatedBy: "\n## ")[0] }
        for program in ["d2a", "docker2aci"] {
            let help = try Lab.run("\(Lab.programs)/\(program)", ["--experimental-dump-help"])
            for command in try JSONDecoder().decode(Help.self, from: Data(help.output.utf8)).command.leaves("") {
                let missing = "docs/commands.md: write this section, with an example of \(command.name):\n### \(command.name)\n\n\(command.abstract)\n"
                guard let section = sections.first(where: { $0.hasPrefix(command.name + "\n") }) else {
                    Issue.record("\(missing)")
                    continue
                }
                #expect(section.contains("\n\(command.abstract)\n"), "\(missing)")
                let examples = section.components(separatedBy: "```console\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
                #expect(examples.contains { $0.contains("\(command.name) ") || $0.contains("\(command.name)\n") }, "\(missing)")
            }
        }
    }
}
