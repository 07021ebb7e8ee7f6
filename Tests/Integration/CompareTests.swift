import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("dockerd") && Lab.has("umoci") && Lab.has("setcap") && Lab.pythonPeers != nil

/// `d2a compare` of images made here, beside what a real engine and umoci make of them: exactly the differences that are expected.
@Suite(.enabled(if: ready, "needs root, dockerd, umoci, setcap, and python3 with venv (make setup)"))
struct CompareTests {
    /// An image, and what must be different of it besides what is different of every image.
    private struct Sample {
        var name: String
        var layers = ["mkdir -p etc usr; echo hello >etc/motd"]
        var config = #"{"Cmd":["/bin/sh"]}"#
        var more = ""
        /// `rule subject`; with a `*` at its end where it doesn't matter.
        var manifest: [String] = []
        /// With the engine, and without one.
        var engine: [String] = []
        var umoci: [String] = []
        /// What umoci says where it refuses the image.
        var refusal: String?
        /// Whether files have the times that they were made at, with fractions of seconds.
        var keepsTimes = false
    }

    private static let samples: [Sample] = [
        Sample(name: "plain"),
        Sample(name: "nothing to run", config: "{}"),
        Sample(name: "a list of words", config: #"{"Entrypoint":["/bin/echo","a b"],"Cmd":["-n","<b>"]}"#),
        Sample(name: "a string as command", config: #"{"Cmd":"echo a b"}"#, manifest: ["command-string Cmd"], refusal: "cannot unmarshal string"),
        Sample(name: "a named user", layers: ["mkdir etc; echo app:x:1000:1001::/:/bin/sh >etc/passwd"], config: #"{"User":"app"}"#),
        Sample(name: "a known number", layers: ["mkdir etc; echo app:x:1000:1001::/:/bin/sh >etc/passwd"], config: #"{"User":"1000"}"#),
        Sample(name: "an unknown number", config: #"{"User":"1234"}"#),
        Sample(name: "a user with a group", config: #"{"User":"1234:5678"}"#),
        Sample(
            name: "volumes", layers: ["mkdir data; echo x >data/x"], config: #"{"Volumes":{"/data":{},"/new":{},"rel":{},"/--":{}}}"#,
            manifest: ["volume-without-name Volumes /--"]),
        Sample(
            name: "ports", config: #"{"ExposedPorts":{"80/tcp":{},"53/udp":{},"8000-8010/tcp":{},"x/tcp":{}}}"#,
            manifest: ["port-malformed ExposedPorts x/tcp*"]),
        Sample(
            name: "a missing working directory", config: #"{"WorkingDir":"/work/dir"}"#,
            engine: [
                "working-directory-made work time*", "working-directory-made work/dir time*",
            ], umoci: ["working-directory-made work*"]),
        Sample(
            name: "a relative working directory", config: #"{"WorkingDir":"work"}"#, manifest: ["relative-workdir WorkingDir"],
            engine: ["working-directory-made work time*"],
            umoci: ["working-directory-made work*"]),
        Sample(name: "a health check", config: #"{"Healthcheck":{"Test":["CMD","true"],"Interval":5000000000}}"#, manifest: ["healthcheck Healthcheck"]),
        Sample(name: "a stop signal", config: #"{"StopSignal":"SIGQUIT"}"#, manifest: ["stop-signal StopSignal"]),
        Sample(name: "the usual stop signal", config: #"{"StopSignal":"SIGTERM"}"#, manifest: ["stop-signal StopSignal*"]),
        Sample(
            name: "variables", config: #"{"Env":["A=1","A=2","FOO","PATH","=x","a.b=c","EMPTY="]}"#,
            manifest: ["env-without-value Env FOO*", "env-without-value Env PATH", "env-without-name Env =x", "env-name Env a.b*"], refusal: "must contain '='"),
        Sample(
            name: "for builds", config: #"{"OnBuild":["RUN x"],"Shell":["/bin/bash"],"StopTimeout":3,"Hostname":"h","Tty":true}"#,
            manifest: ["build-only OnBuild*", "build-only Shell*", "unused-field StopTimeout*", "unused-field Hostname*", "unused-field Tty*"]),
        Sample(
            name: "capabilities and attributes",
            layers: ["mkdir bin; cp $BUSYBOX bin/ping; setcap cap_net_raw+ep bin/ping; setfattr -n user.a -v b bin/ping; chmod 4755 bin"],
            engine: ["export-attributes bin/ping user.a*"]),
        Sample(
            name: "links, fifos, deletions",
            layers: [
                "mkdir -p a/b; echo 1 >a/one; ln a/one a/two; ln -s ../x a/b/link; mkfifo a/pipe; echo gone >a/gone; chown 7:8 a/b",
                "mkdir a; touch a/.wh.gone; echo 2 >a/new; chmod 700 a",
            ]),
        Sample(
            name: "fractions of seconds", layers: ["mkdir d; touch -d '2001-02-03 04:05:06.5' d/f; touch -d '2001-02-03 04:05:06' d"],
            engine: ["export-seconds d/f time*"], keepsTimes: true),
        Sample(
            name: "hostile", layers: [#"mkdir d; touch -- "d/$(printf 'e\033[31m<script>alert(1)\377')""#],
            config: #"{"Env":["X=\u001b[31m<b>"],"Labels":{"<i>\u001b":"\u202e"},"Healthcheck":{"Test":["CMD","<script>\u0007"]}}"#,
            manifest: ["healthcheck Healthcheck"]),
    ]

    /// Different of every image, with every tool; of the image's own layers.
    private static func common(_ part: String, _ tool: String, _ sample: Sample) -> [String] {
        let links = ["fd", "stderr", "stdin", "stdout"].map { "console-links dev/\($0)*" }
        let hasEtc = sample.layers[0].contains(" etc")
        switch (part, tool) {
        case ("manifest", _): return ["build-history rootfs*"]
        case (_, "engine"):
            let places =
                [".dockerenv", "dev/console", "dev/pts", "dev/shm", "proc", "sys"]
                + (hasEtc ? ["hostname", "hosts", "mtab", "resolv.conf"].map { "etc/\($0)" } : ["etc"])
            return places.map { "engine-mount-points \($0)*" } + links + ["made-meanwhile dev time*"] + (hasEtc ? ["made-meanwhile etc time*"] : [])
        default: return ["console-links dev*"]
        }
    }

    /// What the schema says that JSON must be, checked by another program.
    static func check(_ json: String, _ place: Place) throws {
        let program = "import json, jsonschema, sys; jsonschema.validate(json.load(open(sys.argv[1])), json.load(open(sys.argv[2])))"
        let outcome = try Lab.run(#require(Lab.pythonPeers) + "/python", ["-c", program, json, Lab.package + "/docs/compare.schema.json"])
        #expect(outcome.status == 0, "\(json): \(outcome.errors.suffix(2000))")
    }

    /// What a browser makes of a page, scripts run.
    private static func browsed(_ page: String, _ place: Place) throws -> String {
        let outcome = try place.shell("chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/browser --dump-dom file://\(page) 2>/dev/null")
        try #require(outcome.status == 0)
        return outcome.output
    }

    /// Numbers between two pieces of text.
    private static func numbers(_ text: String, after: String) -> [Int] {
        text.components(separatedBy: after).dropFirst().compactMap { Int($0.drop { !$0.isNumber }.prefix { $0.isNumber }) }
    }

    @Test(.enabled(if: Lab.has("chromium"), "needs chromium (make setup)")) func reportsOfOneImageAndOfMany() throws {
        let place = try Place()
        let layer = #"mkdir d; touch -- "d/$(printf 'e\033[31m<script>document.title=1\377')""#
        let labels = #"{"Cmd":"echo","User":"1234","Labels":{"<script>document.title=2</script>":"\u001b"}}"#
        for (name, archive) in [("plain", { try place.archive("mkdir etc; echo 1 >etc/a") }), ("odd", { try place.archive([layer], config: labels) })] {
            try FileManager.default.moveItem(atPath: archive(), toPath: "\(place.path)/\(name).docker")
        }
        let prefix = "DOCKER_HOST=unix://$PWD/nobody.sock d2a compare --only=manifest,filesystem"
        let plain = try place.shell("\(prefix) plain.docker")
        #expect(plain.status == 0 && plain.output == "plain.docker: the same in all that matters (2 differences that don't matter)\n", "\(plain)")
        let odd = try place.shell("\(prefix) odd.docker; \(prefix) odd.docker -o odd.json; \(prefix) odd.docker -o odd.html")
        // umoci takes no string for a command.
        #expect(odd.status == 2 && odd.output.contains("command-string") && odd.output.contains("not compared: umoci refuses"))
        try Self.check(place.path + "/odd.json", place)
        let dom = try Self.browsed(place.path + "/odd.html", place)
        #expect(dom.contains("data-ready=\"yes\"") && dom.contains("data-verdict=\"incomplete\""))
        #expect(dom.components(separatedBy: "<title>odd.docker: d2a compare</title>").count == 2)
        #expect(Self.numbers(dom, after: "data-part=\"manifest\"") == [1])
        #expect(Self.numbers(dom, after: "class=\"count soft\">").first == 2)

        let list = "# two\nplain.docker\n\nodd.docker\nmissing.docker/x:y\n"
        try list.write(toFile: place.path + "/list", atomically: true, encoding: .utf8)
        let all = try place.shell("\(prefix) --all list --quiet; s=$?; \(prefix) --all list -o all.json; \(prefix) --all list -o all.html; exit $s")
        #expect(all.status == 2)
        #expect(all.output.hasSuffix("3 images: 1 the same, 0 different, 2 not all compared\n"), "\(all.output)")
        try Self.check(place.path + "/all.json", place)
        let page = try Self.browsed(place.path + "/all.html", place)
        #expect(Verdict.allCases.map { Self.numbers(page, after: "class=\"number \($0)\"").first } == [1, 0, 2])
    }

    /// With what the engine exports, and with what umoci unpacks.
    @Test func memoryDoesNotGrowWithTheImage() throws {
        let place = try Place()
        let engine = try Engine(place)
        #expect(try place.shell("\(Lab.package)/bench/make-image image.docker large 600").status == 0)
        for host in [engine.socket, "unix://\(place.path)/nobody.sock"] {
            let outcome = try place.shell("DOCKER_HOST=\(host) \(Lab.package)/bench/peak d2a compare --only=manifest,filesystem --quiet image.docker")
            let lines = outcome.output.split(separator: "\n")
            #expect(outcome.status == 0 && lines.count == 2 && lines[0].contains("the same in all that matters"), "\(outcome)")
            let megabytes = lines.last.flatMap { Int($0) } ?? 0
            #expect(megabytes > 5 && megabytes < 150, "\(outcome)")
        }
        try place.expectNothingLeft()
    }

    private enum Verdict: String, CaseIterable { case same, different, incomplete }

    /// What docs/layers.md says of other tools is found, and explained by the rule of its name.
    @Test func layersThatToolsDisagreeOnAreExplained() throws {
        let place = try Place()
        let engine = try Engine(place)
        // The engine follows no lower link: what it makes in its place is a directory without a name.
        let others = ["lower-link-as-parent docker": "unnamed-parent", "unnamed-parent-of-hidden": "unnamed-parent", "escape-by-link": "own-link-as-parent"]
        let text = try String(contentsOfFile: Lab.package + "/docs/layers.md", encoding: .utf8)
        var rows: [String: [(path: String, there: String)]] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.dropFirst(2).components(separatedBy: " | ")
            guard cells.count == 6, ["docker", "umoci"].contains(cells[1]), cells[3] != "refused" else { continue }
            rows[cells[0] + " " + cells[1], default: []].append((cells[2].replacingOccurrences(of: "`", with: ""), cells[4]))
        }
        #expect(rows.count > 15)
        for (key, expected) in rows.sorted(by: { $0.key < $1.key }) {
            let words = key.split(separator: " ").map(String.init)
            let stack = try #require(HandMadeStack.all.first { $0.name == words[0] })
            try stack.write(to: place.path + "/image.docker")
            let host = words[1] == "docker" ? engine.socket : "unix://\(place.path)/nobody.sock"
            let outcome = try place.shell("DOCKER_HOST=\(host) d2a compare --only=filesystem --quiet -o report.json image.docker")
            let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: "\(place.path)/report.json")))
            if expected.contains(where: { $0.there == "refused" }) {
                #expect(outcome.status == 2 && report.parts[0].problems.count == 1, "\(key)")
                continue
            }
            let rule = others[key] ?? others[words[0]] ?? words[0]
            let explained = report.parts[0].differences.filter { $0.rule == rule }.map(\.subject)
            for (path, _) in expected {
                #expect(explained.contains { path == $0 || path.hasPrefix($0 + "/") }, "\(key): \(path): \(report.found("filesystem"))")
            }
            #expect(!report.parts[0].differences.contains { $0.rule.hasPrefix("file-") }, "\(key): \(report.found("filesystem"))")
        }
    }

    @Test func thePageOfRulesIsTheProgramsOwn() throws {
        let rules = try Lab.run("d2a", ["compare", "--rules"])
        #expect(
            try rules.output == String(contentsOfFile: Lab.package + "/docs/docker-vs-rocket.md", encoding: .utf8),
            "d2a compare --rules > docs/docker-vs-rocket.md")
    }

    private struct Report: Decodable {
        struct Part: Decodable {
            struct Difference: Decodable {
                var subject: String
                var field: String
                var rule: String
                var matters: Bool
            }
            var name: String
            var problems: [String]
            var differences: [Difference]
        }
        var verdict: String
        var parts: [Part]

        func found(_ part: String) -> Set<String> {
            Set(
                parts.first { $0.name == part }!.differences.map { "\($0.rule) \($0.subject)\($0.field.isEmpty ? "" : " " + $0.field)\($0.matters ? "" : "*")" }
            )
        }
    }

    @Test func everyDifferenceIsExpected() throws {
        let place = try Place()
        let engine = try Engine(place)
        for sample in Self.samples {
            let layers = sample.keepsTimes ? sample.layers : sample.layers.map { $0 + "; find . -mindepth 1 -exec touch -h -d @1000000000 {} +" }
            let archive = try place.archive(layers, config: sample.config, more: sample.more)
            for (tool, host) in [("engine", engine.socket), ("umoci", "unix://\(place.path)/nobody.sock")] {
                let outcome = try place.shell("DOCKER_HOST=\(host) d2a compare --only=manifest,filesystem --format=json \(archive) >\(tool).json")
                try Self.check("\(place.path)/\(tool).json", place)
                let report = try JSONDecoder().decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: "\(place.path)/\(tool).json")))
                let problems = report.parts.flatMap(\.problems)
                if tool == "umoci", let refusal = sample.refusal {
                    #expect(outcome.status == 2 && problems.count == 1 && problems[0].contains(refusal), "\(sample.name): \(problems)")
                    continue
                }
                #expect(problems == [], "\(sample.name) \(tool) \(outcome.errors)")
                let fs = tool == "engine" ? sample.engine : sample.umoci
                for (part, expected) in [("manifest", sample.manifest), ("filesystem", fs)] {
                    let (found, wanted) = (report.found(part), Set(expected + Self.common(part, tool, sample)))
                    #expect(found.subtracting(wanted) == [], "\(sample.name), \(tool), \(part): not expected")
                    #expect(wanted.subtracting(found) == [], "\(sample.name), \(tool), \(part): missing")
                }
                let matters = (sample.manifest + fs).contains { !$0.hasSuffix("*") }
                #expect(outcome.status == (matters ? 1 : 0), "\(sample.name) \(tool)")
            }
        }
    }
}
