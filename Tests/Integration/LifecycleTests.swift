import Foundation
import Testing

private let ready = Lab.runsPods

/// What happens to pods besides running.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct LifecycleTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// A pod that runs until it is ended, while a line of shell does something with its UUID, `$uuid`.
    private func running(_ script: String, options: String = "", of app: String = "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done") throws -> Outcome
    {
        try place.shell(
            """
            rm -f up uuid
            d2a run --uuid-file-save=uuid \(options) \(id) --environment=OWN=x -- sh -c "\(app)" >up & pod=$!
            while ! [ -s up ]; do sleep 0.05; done; uuid=$(cat uuid)
            \(script)
            d2a stop $uuid >/dev/null; wait $pod
            """)
    }

    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

    @Test func aPodFromItsStartToItsRemoval() throws {
        let outcome = try running("d2a status $uuid; d2a list --full --no-legend; d2a rm $uuid; echo $?; d2a gc --grace-period=0s; d2a stop ${uuid:0:8}")
        #expect(outcome.status == 9, "\(outcome)")
        let uuid = try String(contentsOfFile: place.path + "/uuid", encoding: .utf8)
        let seen = lines(outcome.output)
        #expect(seen[0] == "state=running" && seen.contains("exited=false") && seen.contains { $0.hasPrefix("pid=") })
        #expect(seen.contains { $0.hasPrefix(uuid + "\tbusybox\t") && $0.contains("\trunning\t") }, "\(seen)")
        #expect(seen.contains("254") && outcome.errors.contains("pod \"\(uuid)\" is currently running"))
        #expect(seen.last == "\"\(uuid)\"")

        let status = lines(try place.run("d2a", "status", uuid).output)
        #expect(status[0] == "state=exited" && status.contains("exited=true") && status.last == "app-busybox=9", "\(status)")
        let json = try place.run("d2a", "list", "--format=json").output
        #expect(json.contains(#""exit_code":9"#) && json.contains(#""state":"exited""#) && json.contains(#""app_names":["busybox"]"#))
        #expect(try place.run("d2a", "cat-manifest", uuid).output.contains("\"PodManifest\""))
        #expect(try place.run("d2a", "stop", uuid).output == "pod \"\(uuid)\" is already stopped\n")
        #expect(try place.run("d2a", "gc").output == "")
        #expect(try place.run("d2a", "rm", "--uuid-file=uuid").output == "\"\(uuid)\"\n")
        #expect(try place.run("d2a", "status", uuid).errors.hasPrefix("d2a: no matches found for \"\(uuid)\""))
        try place.expectNothingLeft()
    }

    @Test func gcTakesWhatHasEnded() throws {
        for _ in 0..<2 { #expect(try place.run("d2a", "run", id, "--", "true").status == 0) }
        #expect(lines(try place.run("d2a", "list", "--no-legend").output).count == 2)
        #expect(try place.run("d2a", "rm", "").status == 254)
        let collected = try place.run("d2a", "gc", "--grace-period=0s").output
        #expect(lines(collected).count == 2 && collected.hasPrefix("Garbage collecting pod \""))
        #expect(try place.run("d2a", "list", "--no-legend").output == "")
        try place.expectNothingLeft()
    }

    @Test func stopKillsThoseThatDontListen() throws {
        let stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done"
        #expect(try running("", options: "--stop-timeout=1", of: stubborn).status == 137)
        #expect(try running("d2a stop --force $uuid; d2a status --wait $uuid >/dev/null", of: stubborn).status == 137)
        _ = try place.run("d2a", "gc", "--grace-period=0")
        try place.expectNothingLeft()
    }

    @Test func endsThatShareAStatusAreToldApart() throws {
        func told(_ words: String) throws -> String {
            try place.shell("d2a run --rm --net=none --volume=volume-data,kind=empty --status-fd=5 \(id) \(words) 5>told 2>/dev/null; cat told").output
        }
        #expect(try told("-- sh -c 'exit 137'").hasPrefix(#"{"apps":[{"exitCode":137,"name":"busybox"}],"uuid":""#))
        #expect(try told("-- sh -c 'kill -KILL $$'").hasPrefix(#"{"apps":[{"name":"busybox","signal":9}],"uuid":""#))
        #expect(try told("-- sh -c 'exit 127'").hasPrefix(#"{"apps":[{"exitCode":127,"name":"busybox"}],"uuid":""#))
        #expect(try told("--exec=/missing").hasPrefix(#"{"error":"can't run /missing: it isn't in the image, or its interpreter isn't","uuid":""#))
        #expect(try place.run("d2a", "run", "--rm", "--status-fd=9", id, "--", "true").errors.contains("--status-fd 9: no such descriptor is open"))
        // What stops some programs, and no name that every C library has.
        _ = try place.shell(
            "d2a run --rm --net=none --status-fd=5 \(id) -- sh -c 'echo up; sleep 60' 5>told 2>/dev/null >out & until [ -s out ]; do sleep 0.05; done; kill -37 $!; wait"
        )
        #expect(try place.shell("cat told").output.hasPrefix(#"{"apps":[{"name":"busybox","signal":37}],"uuid":""#))
        try place.expectNothingLeft()
    }

    @Test func enterGivesTheAppsEnvironment() throws {
        let outcome = try running(
            """
            CALLERS=y d2a enter $uuid -- sh -c 'env | sort; pwd; readlink /proc/self/ns/pid; grep CapBnd /proc/self/status; ls /proc/self/fd; exit 4'; echo $?
            d2a enter $uuid nothere; echo $?; d2a enter --app=busybox $uuid readlink /proc/1/ns/pid; d2a enter --app=other $uuid; echo $?
            """)
        let seen = lines(outcome.output)
        #expect(seen.contains("OWN=x") && seen.contains("GREETING=hello") && seen.contains("AC_APP_NAME=busybox") && seen.contains("HOME=/root"), "\(outcome)")
        #expect(!seen.contains { $0.hasPrefix("CALLERS") || $0.hasPrefix("D2A_DIR") })
        let namespaces = seen.filter { $0.hasPrefix("pid:") }
        let host = try Lab.run("readlink", ["/proc/self/ns/pid"]).output.trimmingCharacters(in: .newlines)
        #expect(namespaces.count == 1 && namespaces[0] != host)
        #expect(seen.contains("/") && seen.contains("CapBnd:\t00000000a80425fb") && seen.contains("4") && seen.contains("127") && seen.contains("254"))
        #expect(try place.run("d2a", "enter", String(contentsOfFile: place.path + "/uuid", encoding: .utf8), "true").errors.contains("isn't currently running"))
    }

    @Test func logsAreKeptWhereThatWasAsked() throws {
        let uuidFile = "--uuid-file-save=uuid"
        #expect(try place.run("d2a", "run", uuidFile, id, "--stdout=log", "--stderr=log", "--", "sh", "-c", "echo out; echo err >&2").output == "")
        #expect(try place.run("d2a", "logs", String(contentsOfFile: place.path + "/uuid", encoding: .utf8)).output == "out\nerr\n")
    }

    @Test(arguments: ["chroot", "runc", "crun"].filter { $0 == "chroot" || Lab.has($0) }) func otherStage1s(_ kind: String) throws {
        let options = "--stage1=\(kind)"
        let outcome = try place.run(
            "d2a", "run", "--rm", options, id, "--user=app", "--environment=A=b", "--", "sh", "-c", "id; echo $A; pwd; readlink /proc/self/ns/pid; exit 7")
        let seen = lines(outcome.output)
        #expect(outcome.status == 7 && seen[0] == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)" && seen[1] == "b", "\(outcome)")
        let host = try Lab.run("readlink", ["/proc/self/ns/pid"]).output.trimmingCharacters(in: .newlines)
        #expect((seen.last == host) == (kind == "chroot"))
        #expect(try running("", options: "--rm " + options).status == 9)
        let stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done"
        #expect(try running("", options: "--rm --stop-timeout=1 " + options, of: stubborn).status == 137)
        // Killed with everything of it but the pod's own process: nothing stays.
        #expect(try running("kill -KILL $pod; while [ -n \"$(ls store/pods/run)\" ]; do sleep 0.05; done", options: "--rm " + options).status == 137)
        if kind == "chroot" {
            #expect(try place.run("d2a", "run", "--rm", options, id, "--name=a", "---", id, "--name=b").errors.contains("one app only"))
        }
        try place.expectNothingLeft()
    }
}
