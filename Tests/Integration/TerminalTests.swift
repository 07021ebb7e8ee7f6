import Foundation
import Testing

private let ready = Lab.runsPods && Lab.has("python3")

/// Pods on a person's terminal: keys, signals, its size, its end; as `docker run -it` has it.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci, busybox and python3 (make setup)"))
struct TerminalTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// - Parameter script: a line of shell for an app.
    private func terminal(_ steps: [String], _ script: String, _ options: String...) throws -> Outcome {
        try place.run(
            words: ["python3", Lab.package + "/Tests/Fixtures/terminal.py"] + steps + ["--", "\(Lab.programs)/d2a", "run", "--rm"] + options + [
                id, "--", "sh", "-c", script,
            ])
    }

    private static let traps = "for s in INT TERM HUP QUIT; do trap \"echo got $s; exit 9\" $s; done; echo up; while :; do sleep 0.1; done"

    @Test func keysAreTheApps() throws {
        // As a key it reaches what is in the foreground there.
        #expect(try terminal(["wait:up", "raw:yes", "send:^C"], Self.traps).output.hasSuffix("got INT\n\nstatus 9\n"))
        #expect(try terminal(["wait:up", "raw:yes", "send:^\\"], Self.traps).output.hasSuffix("got QUIT\n\nstatus 9\n"))
        let outcome = try terminal(["wait:up", "send:^C"], "echo up; sleep 1000")
        #expect(outcome.output.hasSuffix("status 130\n"), "\(outcome)")
        // A line, and its end.
        #expect(
            try terminal(["wait:up", "send:some words~", "wait:<", "send:^D"], "echo up; read line; echo \"<$line>\"; cat; exit 3").output.contains(
                "<some words>"))
        try place.expectNothingLeft()
    }

    @Test(arguments: ["INT", "TERM", "HUP", "QUIT"]) func signalsReachTheApp(_ name: String) throws {
        let outcome = try terminal(["wait:up", "signal:\(name)"], Self.traps)
        #expect(outcome.output.hasSuffix("got \(name)\n\nstatus 9\n"), "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func stopsAreTheApps() throws {
        // The shell in there has its jobs; this program goes on.
        let jobs = try terminal(
            [
                "wait:# ", "send:(echo st''arted; read x)~", "wait:started", "send:^Z", "wait:Stopped", "state:S", "send:fg~", "wait:read x", "send:x~",
                "wait:# ", "send:exit 5~",
            ],
            "PS1='# ' exec sh -i")
        #expect(jobs.output.hasSuffix("status 5\n"), "\(jobs)")
        // Told to stop, it gives the terminal back and leaves the app alone.
        let stopped = try terminal(
            ["wait:up", "raw:yes", "signal:TSTP", "state:T", "raw:no", "signal:CONT", "raw:yes", "size:11x22", "send:x~", "wait:11 22"],
            "echo up; read x; stty size; exit 4")
        #expect(stopped.output.hasSuffix("status 4\n"), "\(stopped)")
        try place.expectNothingLeft()
    }

    @Test func sizesFollow() throws {
        let script =
            "trap 'stty size' WINCH; stty size; echo up; while ! [ -e /done ]; do sleep 0.1; [ \"$(stty size)\" = '44 55' ] && touch /done; done; echo end"
        let outcome = try terminal(["size:20x30", "wait:up", "size:33x44", "wait:33 44", "size:44x55", "wait:44 55", "wait:end"], script)
        #expect(outcome.output.hasSuffix("status 0\n"), "\(outcome)")
    }

    @Test func hangUpsReachTheApp() throws {
        for (script, end) in [(Self.traps, "9"), ("trap '' HUP; echo up; for i in $(seq 20); do echo $i; sleep 0.1; done; echo done >/v/done; exit 6", "6")] {
            let outcome = try terminal(
                ["wait:up", "hangup"], script, "--volume=volume-data,kind=host,source=\(place.path)", "--volume=v,kind=host,source=\(place.path)",
                "--mount=volume=v,target=/v")
            #expect(outcome.output.hasSuffix("status \(end)\n"), "\(outcome)")
        }
        // Who ignores it works on.
        #expect(place.names().contains("done"))
        try place.expectNothingLeft()
    }

    @Test func whoEntersHasATerminalOfThePods() throws {
        let fixture = "python3 \(Lab.package)/Tests/Fixtures/terminal.py"
        let outcome = try place.shell(
            """
            d2a run --uuid-file-save=uuid --rm \(id) -- sh -c 'echo up; while :; do sleep 0.1; done' >up & pod=$!
            while ! [ -s up ]; do sleep 0.05; done; uuid=$(cat uuid)
            \(fixture) size:12x34 'wait:# ' 'send:stty size; tty; sh -c "echo $TERM; exec sleep 1000"~' 'wait:xterm-odd' send:^C 'wait:# ' size:21x43 'send:stty size~' 'wait:21 43' 'send:exit 7~' \\
                -- env TERM=xterm-odd d2a enter $uuid sh -c "PS1='# ' exec sh -i"
            \(fixture) wait:up signal:TERM -- d2a enter $uuid sh -c 'trap "echo got; exit 8" TERM; echo up; while :; do sleep 0.1; done'
            \(fixture) wait:up hangup -- d2a enter $uuid sh -c 'trap "touch /hung; exit 3" HUP; echo up; while :; do sleep 0.1; done'; d2a enter $uuid ls /hung
            d2a enter $uuid sh -c 'tty; cat' </dev/null; echo $?
            d2a stop --force $uuid >/dev/null; wait $pod
            """)
        let seen = outcome.output
        #expect(seen.contains("12 34\n/dev/pts/") && seen.contains("xterm-odd\n") && seen.contains("status 7\n"), "\(outcome)")
        #expect(seen.contains("got\n\nstatus 8\n") && seen.contains("status 3\n/hung\n") && seen.hasSuffix("not a tty\n0\n"), "\(outcome)")
        try place.expectNothingLeft()
    }
}
