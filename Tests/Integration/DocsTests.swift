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
}
