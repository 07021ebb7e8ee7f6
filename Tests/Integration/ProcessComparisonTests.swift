import Foundation
import Testing

/// An engine that the suite shares, ended with the tests.
private enum SharedEngine {
    nonisolated(unsafe) private(set) static var engine: Engine? = {
        atexit { SharedEngine.engine = nil }
        return try? Engine(Place())
    }()
    static var socket: String? { engine?.socket }
}

/// What a process finds under Docker and in a pod: for each image exactly the differences that rules explain, and no others.
@Suite(.enabled(if: Lab.runsPods && Lab.has("dockerd") && Lab.has("runc"), "needs root, dockerd, runc, skopeo, umoci and busybox (make setup)"))
struct ProcessComparisonTests {
    struct Subject: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// A line of shell in an empty directory with `bin/sh`.
        var layer = ""
        var config: String
        var options = ""
        var arguments = ""
        /// Differences beside those that every image has, as `RULE SUBJECT FIELD`.
        var more: Set<String> = []
        /// Those of every image that this one hasn't.
        var fewer: Set<String> = []
        /// Where the engine does something else than it documents for runtimes.
        var moreUnderDocker: Set<String> = []
        var matters = false
        var runners = ["docker", "runc"]

        init(
            _ name: String, layer: String = "", _ config: String, options: String = "", arguments: String = "", more: Set<String> = [], fewer: Set<String> = [],
            moreUnderDocker: Set<String> = [], matters: Bool = false, onlyUnderDocker: Bool = false
        ) {
            (testDescription, self.layer, self.config, self.options, self.arguments) = (name, layer, config, options, arguments)
            (self.more, self.fewer, self.moreUnderDocker, self.matters) = (more, fewer, moreUnderDocker, matters)
            if onlyUnderDocker { runners = ["docker"] }
        }
    }

    static let layer = "mkdir bin; cp /usr/bin/busybox bin/busybox; for n in sh id cat pwd stat sleep touch grep echo; do ln -s busybox bin/$n; done\n"

    /// What the two sides have different whatever the image is.
    static let always: Set<String> = [
        "env-app-name environment AC_APP_NAME", "env-container environment container", "env-hostname environment HOSTNAME", "env-shell environment SHELL",
        "env-user environment USER", "env-user environment LOGNAME", "cgroup-path control groups ",
        "process-number process number", "host-name host name ", "etc-hostname files /etc/hostname", "etc-hosts files /etc/hosts",
        "etc-resolver files /etc/resolv.conf", "mount-nodev mounts /", "mount-nodev mounts /dev", "mount-resolver mounts /etc/resolv.conf",
        "device-console devices /dev/console", "mount-devices mounts /dev/console", "mount-devices mounts /dev/null", "mount-devices mounts /dev/zero",
        "mount-devices mounts /dev/full", "mount-devices mounts /dev/random", "mount-devices mounts /dev/urandom", "mount-devices mounts /dev/tty",
    ]

    /// What depends on the kernel and its control groups, and on what the caller has.
    static func isOfTheMachine(_ difference: String) -> Bool {
        ["cgroup-namespace", "cgroup-files", "mount-cgroup", "kernel-path-hidden", "device-core", "limit-inherited", "oom-score-inherited", "security-label"]
            .contains { difference.hasPrefix($0 + " ") }
    }

    private static let underDocker: Set<String> = ["mount-propagation propagation /"]
    private static let withVolumes: Set<String> = ["mount-nodev mounts /data", "mount-nodev mounts /var/lib/x"]
    private static let passwd = """
        mkdir etc; printf 'root:x:0:0::/root:/bin/sh\\napp:x:1000:1001::/home/app:/bin/sh\\n' >etc/passwd; \\
        printf 'root:x:0:\\napp:x:1001:\\nstaff:x:50:app\\nextra:x:60:root,app\\n' >etc/group
        """
    private static func shell(_ script: String, _ more: String = "") -> String { #"{"Cmd":["/bin/sh","-c","\#(script)"]\#(more)}"# }

    static let subjects = [
        Subject("nothing special", shell("echo out; echo err >&2; exit 3")),
        Subject("a user's name", layer: passwd, shell("id -un; id -gn; echo $HOME", #","User":"app""#)),
        Subject("a user's number", layer: passwd, shell("id -u; id -g", #","User":"1000""#), onlyUnderDocker: true),
        Subject(
            "a number that nobody has", layer: passwd, shell("id -u; id -g", #","User":"4242""#)),
        Subject("a user with a group", layer: passwd, shell("id -u; id -g; id -G", #","User":"app:staff""#)),
        Subject("a user with the own group", layer: passwd, shell("id -u; id -g; id -G", #","User":"app:app""#), onlyUnderDocker: true),
        Subject("numbers with the own group", layer: passwd, shell("id -u; id -g; id -G", #","User":"1000:1001""#), onlyUnderDocker: true),
        Subject("numbers with a colon", shell("id -u; id -g", #","User":"12:34""#), onlyUnderDocker: true),
        Subject("a user that isn't there", shell("pwd", #","User":"nobody""#), fewer: always),
        Subject(
            "volumes", layer: "mkdir -p data var/lib/x; echo x >data/file; chown 7:8 data",
            shell("cat /data/file; stat -c %u:%g:%a /data /var/lib/x", #","Volumes":{"/data":{},"/var/lib/x":{}}"#),
            more: withVolumes, moreUnderDocker: ["mount-propagation propagation /data", "mount-propagation propagation /var/lib/x"]),
        Subject("an entrypoint and its arguments", #"{"Entrypoint":["/bin/busybox","echo","a b"],"Cmd":["","c"]}"#),
        Subject("arguments of the caller's", #"{"Entrypoint":["/bin/busybox","echo"],"Cmd":["c"]}"#, arguments: "-- x 'y z'", onlyUnderDocker: true),
        Subject(
            "a command that is a string", #"{"Cmd":"echo hi; exit 3"}"#, more: ["process-command-string arguments ", "process-command-string start "],
            matters: true),
        Subject("a program in PATH", #"{"Cmd":["sh","-c","echo $0"],"Env":["PATH=/usr/bin:/bin"]}"#, onlyUnderDocker: true),
        Subject("a program that isn't there", #"{"Cmd":["/missing"]}"#, onlyUnderDocker: true),
        Subject(
            "a program that is none", layer: "echo garbage >bad; chmod +x bad", #"{"Cmd":["/bad"]}"#, moreUnderDocker: ["exec-failure start "]),
        Subject("no program", #"{"Env":["A=b"]}"#, fewer: always, onlyUnderDocker: true),
        Subject("a working directory that isn't there", shell("pwd; stat -c %u:%g:%a .", #","WorkingDir":"/not/there""#)),
        Subject(
            "a relative working directory", shell("pwd", #","WorkingDir":"work""#), more: ["process-relative-workdir start "], fewer: always, matters: true),
        Subject("a health check", shell("pwd", #","Healthcheck":{"Test":["CMD-SHELL","exit 1"],"Interval":1000000000}"#)),
        Subject(
            "a signal of its own", shell("trap 'echo bye; exit 4' USR1; while :; do sleep 0.1; done", #","StopSignal":"SIGUSR1""#),
            options: "--run-for=2 --stop-timeout=3"),
        Subject(
            "a program that ignores signals", shell("trap : TERM; while :; do sleep 0.1; done"), options: "--run-for=2 --stop-timeout=1", onlyUnderDocker: true),
        Subject(
            "a program that does nothing about signals", #"{"Cmd":["/bin/busybox","sleep","60"]}"#, options: "--run-for=2 --stop-timeout=1",
            more: ["stop-of-process-1 stop "], matters: true),
        Subject(
            "variables without values", shell("pwd", #","Env":["A=1","NOTHING","B=","PATH"]"#), more: ["process-env-without-value environment PATH"],
            matters: true),
        Subject(
            "odd variables",
            shell("pwd", #","Env":["a.b=c","HOME=/elsewhere","USER=me","A=1","A=2","X=<b>\u001b[31m\u00e9 \\\"'"]"#.replacingOccurrences(of: "'", with: "")),
            fewer: ["env-user environment USER"]),
        Subject(
            "capabilities of a file", layer: "cp bin/busybox bin/cap; setcap cap_net_raw,cap_chown+ep bin/cap",
            #"{"Cmd":["/bin/cap","grep","Cap","/proc/self/status"],"User":"12:34"}"#),
        Subject("ports", shell("pwd", #","ExposedPorts":{"80/tcp":{},"53/udp":{}}"#), onlyUnderDocker: true),
        Subject(
            "a terminal", shell("[ -t 0 ] && [ -t 1 ] && echo yes"), options: "--tty", more: ["env-terminal environment TERM"],
            fewer: ["device-console devices /dev/console", "mount-devices mounts /dev/console"]),
        Subject(
            "a root that can't be written to", shell("touch /x; echo $?"), options: "--read-only",
            more: ["mount-etc-read-only mounts /etc/hosts", "mount-etc-read-only mounts /etc/hostname"]),
        Subject("nothing but a program", layer: "mv bin/busybox app; rm -r bin", #"{"Entrypoint":["/app","echo"],"Cmd":["x"]}"#),
    ]

    private struct Difference: Decodable {
        var rule: String
        var subject: String
        var field: String
        var left: String?
        var right: String?
        var matters: Bool
        var summary: String { "\(rule) \(subject) \(field)" }
    }
    private struct Report: Decodable {
        struct Part: Decodable {
            var differences: [Difference]
            var problems: [String]
        }
        var parts: [Part]
    }

    @Test(arguments: subjects) func onlyWhatRulesExplainDiffers(_ subject: Subject) throws {
        let place = try Place()
        let archive = try place.archive(Self.layer + subject.layer, config: subject.config.replacingOccurrences(of: "'", with: "\\u0027"))
        for runner in subject.runners {
            let outcome = try place.shell(
                """
                export DOCKER_HOST=\(SharedEngine.socket ?? "") TERM=vt100
                d2a compare \(archive) --only=process --with=\(runner) --format=json \(subject.options) \(subject.arguments)
                """)
            try outcome.output.write(toFile: place.path + "/report.json", atomically: true, encoding: .utf8)
            if Lab.pythonPeers != nil { try CompareTests.check(place.path + "/report.json", place) }
            let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
            try #require(report.parts.count == 1 && report.parts[0].problems == [], "\(outcome.errors)")
            let all = report.parts[0].differences
            let seen = Set(all.map(\.summary).filter { !Self.isOfTheMachine($0) })
            let own = Self.always.union(runner == "docker" ? Self.underDocker : [])
            let expected = (subject.fewer == Self.always ? [] : own.subtracting(subject.fewer)).union(subject.more)
                .union(runner == "docker" ? subject.moreUnderDocker : [])
            #expect(seen.subtracting(expected) == [], "\(runner): \(all.filter { !expected.contains($0.summary) && !Self.isOfTheMachine($0.summary) })")
            #expect(expected.subtracting(seen) == [], "\(runner)")
            #expect(outcome.status == (subject.matters ? 1 : 0), "\(runner): \(all.filter(\.matters)) \(outcome.errors)")
        }
        try place.expectNothingLeft()
    }

    /// Whatever is killed, its container goes with it.
    @Test(arguments: ["runc", "crun"].filter { Lab.has($0) }) func aKilledComparisonLeavesNothing(_ runtime: String) throws {
        let place = try Place()
        let marker = "7\(UInt32.random(in: 1_000_000...9_999_999))"
        let archive = try place.archive(
            "mkdir bin; cp /usr/bin/busybox bin/busybox", config: #"{"Cmd":["/bin/busybox","sleep","\#(marker)"],"StopSignal":"SIGKILL"}"#)
        let outcome = try place.shell(
            """
            ours() { pgrep -f "^/bin/busybox sleep \(marker)"; }
            set -m; d2a compare \(archive) --only=process --with=\(runtime) --run-for=600 >out 2>&1 & compare=$!; set +m
            for i in $(seq 600); do [ "$(ours | wc -l)" = 2 ] && break; kill -0 $compare || { cat out; exit; }; sleep 0.1; done
            ours | wc -l; kill -KILL -- -$compare; wait $compare 2>/dev/null
            for i in $(seq 300); do [ -z "$(ours)" ] && break; sleep 0.1; done
            [ -z "$(ours)" ] && echo gone; d2a gc --grace-period=0s >/dev/null; d2a image gc >/dev/null
            """)
        #expect(outcome.output == "2\ngone\n", "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func theEngineHasNothingLeft() throws {
        let socket = try #require(SharedEngine.socket)
        let place = try Place()
        let archive = try place.archive("mkdir bin; cp /usr/bin/busybox bin/busybox", config: #"{"Cmd":["/bin/busybox","true"],"Volumes":{"/v":{}}}"#)
        let listing = "docker -H \(socket) ps -aq --no-trunc; docker -H \(socket) volume ls -q; docker -H \(socket) images -q --no-trunc"
        _ = try place.shell("DOCKER_HOST=\(socket) d2a compare --only=process --with=docker \(archive)")
        // Others run at the same time: none of what is there now may be this image's.
        let id = try place.shell("tar -xOf \(archive) manifest.json | jq -r '.[0].Config[:64]'").output.trimmingCharacters(in: .newlines)
        #expect(id.count == 64)
        #expect(try place.shell(listing).output.contains(id) == false)
    }
}
