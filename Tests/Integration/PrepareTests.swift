import Foundation
import Testing

private let ready = Lab.runsPods

/// Pods that are prepared first and run later.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct PrepareTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    private func prepare(_ options: String...) throws -> String {
        let outcome = try Lab.run(
            "d2a", ["prepare"] + options + [id, "--name=app", "--environment=A=b", "--", "sh", "-c", "echo $A; hostname; exit 3"],
            environment: ["D2A_DIR": place.store])
        try #require(outcome.status == 0, "\(outcome.errors)")
        return outcome.output.trimmingCharacters(in: .newlines)
    }

    @Test(arguments: ["--no-overlay", "--no-overlay=false"]) func prepareThenRun(_ overlay: String) throws {
        let uuid = try prepare(overlay)
        #expect(try place.run("d2a", "list", "--no-legend").output.contains("\tprepared\t"))
        #expect(try place.run("d2a", "status", uuid).output.hasPrefix("state=prepared\n"))
        #expect(try place.run("d2a", "gc", "--grace-period=0s").output == "")
        let outcome = try place.run("d2a", "run-prepared", "--net=none", "--hostname=box", String(uuid.prefix(8)))
        #expect(outcome.status == 3 && outcome.output == "b\nbox\n", "\(outcome)")
        #expect(try place.run("d2a", "status", uuid).output.contains("app-app=3"))
        let again = try place.run("d2a", "run-prepared", uuid)
        #expect(again.status == 254 && again.errors.contains("pod \"\(uuid)\" is not prepared"))
        #expect(try place.run("d2a", "rm", uuid).status == 0)
        try place.expectNothingLeft()
    }

    @Test func ofManyWhoRunItOneDoes() throws {
        let uuid = try prepare()
        let outcome = try place.shell(
            "for i in 1 2 3 4 5 6; do (d2a run-prepared \(uuid) 2>>err; echo $? >>codes) & done; wait; sort codes | uniq -c | tr -s ' '; grep -c 'not prepared' err"
        )
        #expect(outcome.output.hasSuffix(" 5 254\n 1 3\n5\n"), "\(outcome)")
        #expect(try place.run("d2a", "rm", uuid).status == 0)
        try place.expectNothingLeft()
    }

    @Test func whatIsNeverRunExpires() throws {
        let uuid = try prepare()
        #expect(try place.run("d2a", "rm", uuid).output == "\"\(uuid)\"\n")
        _ = try prepare()
        #expect(try place.run("d2a", "gc", "--expire-prepared=0s").output.hasPrefix("Garbage collecting pod"))
        try place.expectNothingLeft()
    }
}
