import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("python3") && Lab.has("script") && Lab.has("jq")

/// What is told of downloads: bars on a terminal, lines and JSON elsewhere, and nothing where nobody wants to hear of it.
@Suite(.enabled(if: ready, "needs docker-registry, skopeo, python3, script and jq (make setup)"))
struct ProgressTests {
    private func image(_ place: Place, _ registry: RegistryServer) throws -> String {
        try registry.push(place.archive("head -c 200000 /dev/urandom >a", "head -c 200000 /dev/urandom >b", "touch c"), as: "made:latest")
        return "\(registry.address)/made"
    }

    @Test func linesAndEvents() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let image = try image(place, registry)
        for command in ["docker2aci -o x.aci", "d2a cache fill", "d2a fetch"] {
            let outcome = try place.shell("d2a cache prune >/dev/null; \(command) --progress lines \(image); \(command) --progress lines \(image)")
            let lines = outcome.errors.split(separator: "\n")
            // The second time everything is here.
            #expect(outcome.status == 0 && lines.count == 3 && lines.allSatisfy { $0.hasPrefix("Downloaded ") }, "\(command): \(outcome)")
            #expect(lines.last?.contains("(3 of 3 layers, ") == true, "\(command): \(outcome)")
            // Of what is done in a moment nobody hears who isn't at a terminal.
            for option in ["--quiet", "--progress=none", "--progress=auto"] {
                let silent = try place.shell("d2a cache prune >/dev/null; \(command) \(option) \(image)")
                #expect(silent.status == 0 && silent.errors == "", "\(command) \(option): \(silent)")
            }
            let events = try place.shell(
                "d2a cache prune >/dev/null; \(command) --progress=json \(image) 2>&1 >/dev/null | jq -c 'select(.event != \"received\") | [.event, .layers, .downloaded]' | sort | uniq -c | tr -s ' '"
            )
            #expect(
                events.output == " 3 [\"finished\",null,true]\n 1 [\"found\",3,null]\n 3 [\"started\",null,null]\n" && events.errors == "",
                "\(command): \(events)")
        }
        let results = try place.shell(
            """
            d2a fetch --json \(image) 2>events | jq -r .id | cut -c1-7; jq -r .event events | head -1; d2a cache fill --json \(image) 2>events | jq -c '[.layers, .digest[:7]]'
            jq -r .event events | head -1; d2a fetch --json --quiet \(image) 2>&1 | jq -r .sha256 | cut -c1-7
            """)
        #expect(results.output == "sha512-\nfound\n[3,\"sha256:\"]\nfound\nsha256-\n" && results.errors == "", "\(results)")
        let both = try place.shell(
            "docker2aci --json -o x.aci \(image) 2>events | jq -r .aci; jq -r .event events | head -1; docker2aci --progress=loud \(image); echo $?")
        #expect(both.output == "x.aci\nfound\n2\n" && both.errors.contains("loud"), "\(both)")
    }

    /// Whatever the window's width, no line is wider.
    @Test(arguments: [100, 44, 10]) func bars(columns: Int) throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        _ = try image(place, registry)
        let relay = try FixtureServer.relay(to: registry.address, rate: "300000")
        let outcome = try place.shell(
            "script -qec 'stty cols \(columns) rows 5; docker2aci --no-cache -o x.aci 127.0.0.1:\(relay.port)/made' /dev/null </dev/null; ls")
        let escape = try Regex("\u{1B}\\[[0-9]*[A-Z]")
        let drawn = outcome.output.replacing("\r\n", with: "\n").replacing("\r", with: "").components(separatedBy: "\u{1B}[J")
        #expect(drawn.count > 3 && outcome.output.contains("x.aci"), "\(outcome)")
        // What is drawn again and again; a finished layer's line, which ends with its size, is left standing.
        for line in drawn.dropLast().joined().replacing(escape, with: "\n").split(separator: "\n") {
            #expect(line.count < columns || line.hasSuffix("B"), "\(line)")
        }
        #expect(columns < 44 || outcome.output.contains("3 layers, "), "\(outcome)")
        #expect((columns == 100) == outcome.output.contains("=>"), "\(outcome)")
    }
}
