import Foundation
import Testing

private let ready = Lab.runsPods

/// What the verbs say of pods, and what options of theirs do.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct VerbTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    @Test func waitingForPods() throws {
        let outcome = try place.shell(
            """
            d2a prepare \(id) -- sh -c 'while ! [ -e /data/end ]; do sleep 0.05; done; exit 3' >uuid 2>/dev/null; uuid=$(cat uuid)
            d2a status --wait-ready=1s $uuid >/dev/null; echo $?
            d2a run-prepared $uuid & pod=$!
            d2a status --wait-ready $uuid | head -1; d2a status --wait=0s $uuid >/dev/null; echo $?
            d2a status --wait=1s --format=json $uuid | grep -c '"state":"running"'
            touch store/pods/run/$uuid/volumes/busybox-volume-data/end; d2a status --wait $uuid | tail -1; wait $pod; echo $?
            d2a status --wait=5m --wait-ready=5m $uuid | head -1; d2a rm $uuid >/dev/null
            """)
        #expect(outcome.output == "254\nstate=running\n254\n1\napp-busybox=3\n3\nstate=exited\n", "\(outcome)")
        #expect(outcome.errors.contains("took longer"))
        try place.expectNothingLeft()
    }

    @Test func garbageIsMarkedFirstWhereThatIsAsked() throws {
        #expect(try place.run("d2a", "run", "--uuid-file-save=uuid", id, "--", "true").status == 0)
        #expect(try place.run("d2a", "gc", "--mark-only").output == "")
        #expect(try place.run("d2a", "gc", "--mark-only", "--grace-period=0s").output.hasSuffix("to garbage\n"))
        #expect(try place.run("d2a", "status", "--uuid-file=uuid").output.hasPrefix("state=exited garbage\n"))
        #expect(try place.run("d2a", "gc", "--mark-only").output == "")
        #expect(try place.run("d2a", "gc").output.hasPrefix("Garbage collecting pod"))
        try place.expectNothingLeft()
    }

    @Test func logsAreBoundedAndCanBeFollowed() throws {
        let script = "yes 0123456789 | head -c 90000000; echo; echo last"
        #expect(try place.run("d2a", "run", "--uuid-file-save=uuid", id, "--stdout=log", "--", "sh", "-c", script).status == 0)
        let outcome = try place.shell("d2a logs $(cat uuid) >kept; wc -c <kept; tail -1 kept; sort -u kept | wc -l; d2a rm --uuid-file=uuid >/dev/null")
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == 3, "\(outcome)")
        #expect((32 << 20...64 << 20).contains(Int(lines[0]) ?? 0) && lines[1] == "last" && (3...5).contains(Int(lines[2]) ?? 0), "\(lines)")
        let followed = try place.shell(
            """
            d2a run --rm --uuid-file-save=uuid \(id) --stdout=log -- sh -c 'for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; while ! [ -e /data/end ]; do sleep 0.05; done' 2>/dev/null & pod=$!
            while ! [ -s uuid ] || ! d2a status --wait-ready $(cat uuid) >/dev/null 2>&1; do sleep 0.05; done; uuid=$(cat uuid)
            timeout 60 d2a logs -f $uuid >seen & logs=$!
            while ! grep -q 5 seen; do sleep 0.05; done; touch store/pods/run/$uuid/volumes/busybox-volume-data/end; wait $logs; echo $?; tr '\\n' ' ' <seen; wait $pod
            """)
        #expect(followed.output == "0\n1 2 3 4 5 ", "\(followed)")
        try place.expectNothingLeft()
    }

    @Test(.enabled(if: Lab.has("ip") && FileManager.default.fileExists(atPath: "/usr/lib/cni/ptp"), "needs containernetworking-plugins"))
    func listsAreAsRktsAre() throws {
        let outcome = try place.shell(
            """
            d2a run --rm --net=default --uuid-file-save=uuid \(id) -- sh -c 'while ! [ -e /data/end ]; do sleep 0.05; done' 2>/dev/null & pod=$!
            while ! [ -s uuid ] || ! d2a status --wait-ready $(cat uuid) >/dev/null 2>&1; do sleep 0.05; done; uuid=$(cat uuid)
            d2a list; d2a list --full --no-legend; d2a list --format=json; d2a status $uuid | grep networks
            touch store/pods/run/$uuid/volumes/busybox-volume-data/end; wait $pod
            """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        try #require(lines.count == 5, "\(outcome)")
        #expect(lines[0].split(separator: "\t") == ["UUID", "APP", "IMAGE NAME", "STATE", "CREATED", "STARTED", "NETWORKS"])
        #expect(lines[1].contains(" ago\t") || lines[1].contains("now\t"), "\(lines[1])")
        #expect(lines[1].contains("default:ip4=172.16.28.") && lines[2].contains(id.prefix(19)) && !lines[2].contains(" ago"), "\(lines)")
        #expect(lines[3].contains(#""netName":"default""#) && lines[4].hasPrefix("networks=default:ip4=172.16.28."), "\(lines)")
        try place.expectNothingLeft()
    }

    @Test func whoWantsNoIsolationHasNone() throws {
        let look = ["sh", "-c", "grep -E 'CapBnd|Seccomp:' /proc/self/status; grep -c ' /proc/' /proc/self/mountinfo"]
        func run(_ option: String) throws -> [String] {
            try Lab.run("d2a", ["run", "--rm", option, id, "--"] + look, environment: ["D2A_DIR": place.store]).output.split(separator: "\n").map(String.init)
        }
        let usual = try run("--insecure-options=none")
        #expect(usual.prefix(2) == ["CapBnd:\t00000000a80425fb", "Seccomp:\t2"] && Int(usual.last ?? "") ?? 0 > 5, "\(usual)")
        let own = try Lab.run("grep", ["CapBnd", "/proc/self/status"]).output.trimmingCharacters(in: .newlines)
        #expect(try run("--insecure-options=capabilities") == [own, usual[1], usual[2]])
        #expect(try run("--insecure-options=seccomp") == [usual[0], "Seccomp:\t0", usual[2]])
        #expect(try run("--insecure-options=paths") == [usual[0], usual[1], "0"])
        #expect(try run("--insecure-options=all-run") == [own, "Seccomp:\t0", "0"])
        try place.expectNothingLeft()
    }
}
