import Foundation
import Testing

/// A real podman service on a root of its own, ended with this object.
private final class Podman {
    let socket: String
    private let process = Process()
    /// Short: podman refuses longer ones.
    private let root = "/tmp/d2a-podman-\(getpid())-\(UInt16.random(in: 0...UInt16.max))"

    init() throws {
        socket = "unix://\(root)/podman.sock"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        // Its own defaults are above what a process without CAP_SYS_RESOURCE may have.
        try "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n".write(
            toFile: root + "/containers.conf", atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "CONTAINERS_CONF=\(root)/containers.conf", "PATH=/usr/sbin:/usr/bin", "python3", "\(Lab.package)/Tests/Fixtures/unmasked.py", "podman",
            "--root=\(root)/root", "--runroot=\(root)/run", "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=runc", "system", "service", "--time=0", socket,
        ]
        _ = FileManager.default.createFile(atPath: root + "/log", contents: nil)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: root + "/log")
        try process.run()
        for _ in 0..<300 {
            if try ask("version").status == 0 { return }
            usleep(100_000)
        }
        Issue.record("podman doesn't answer: \((try? String(contentsOfFile: root + "/log", encoding: .utf8)) ?? "")")
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        _ = try? Lab.run("sh", ["-c", "grep -o '\(root)[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null; rm -rf \(root)"])
    }

    func ask(_ path: String) throws -> Outcome { try Lab.run("curl", ["-sf", "--unix-socket", root + "/podman.sock", "http://podman/\(path)"]) }
}

/// A service that the suite shares, ended with the tests.
private enum SharedPodman {
    nonisolated(unsafe) private(set) static var podman: Podman? = {
        atexit { SharedPodman.podman = nil }
        return try? Podman()
    }()
}

/// The same images as under Docker, beside what podman does: exactly the differences that rules explain, some of which are podman's own.
@Suite(.enabled(if: Lab.runsPods && Lab.has("podman") && Lab.has("runc"), "needs root, podman, runc, skopeo, umoci and busybox (make setup)"))
struct PodmanTests {
    private static let own: Set<String> = [
        "podman-env-container environment container", "podman-primary-group supplementary groups ", "podman-limits limits nofile",
        "podman-limits limits nproc", "podman-dev-options mounts /dev", "podman-container-file mounts /run/.containerenv",
        "podman-etc-hostname files /etc/hostname", "podman-etc-hosts files /etc/hosts", "podman-env-terminal environment TERM",
    ]
    /// What Docker does and podman doesn't.
    private static let notDone: Set<String> = [
        "env-container environment container", "mount-nodev mounts /dev", "etc-hostname files /etc/hostname", "etc-hosts files /etc/hosts",
        "etc-resolver files /etc/resolv.conf", "mount-resolver mounts /etc/resolv.conf",
    ]

    private struct Report: Decodable {
        struct Part: Decodable {
            struct Difference: Decodable, CustomStringConvertible {
                var rule: String
                var subject: String
                var field: String
                var left: String?
                var right: String?
                var matters: Bool
                var summary: String { "\(rule) \(subject) \(field)" }
                var description: String { "\(summary): \(left ?? "-") | \(right ?? "-")" }
            }
            var name: String
            var differences: [Difference]
            var problems: [String]
        }
        var parts: [Part]
    }

    private static let refusals = ["a command that is a string": "cannot unmarshal string"]
    private static let mattering: Set<String> = ["a root that can't be written to"]

    private static func expected(_ subject: ProcessComparisonTests.Subject) -> Set<String> {
        let always =
            subject.fewer == ProcessComparisonTests.always ? [] : ProcessComparisonTests.always.subtracting(notDone).union(own).subtracting(subject.fewer)
        var expected = always.union(subject.more)
        for volume in subject.more where volume.hasPrefix("mount-nodev mounts /") {
            expected.remove(volume)
            expected.insert("podman-volume-set-user-id" + volume.dropFirst("mount-nodev".count))
        }
        if subject.config.contains("\"User\":") { expected.remove("podman-primary-group supplementary groups ") }
        switch subject.testDescription {
        case "a program that is none": expected.insert("exec-failure start ")
        case "a terminal": expected.remove("podman-env-terminal environment TERM")
        case "variables without values":
            expected.remove("process-env-without-value environment PATH")
            expected.insert("podman-env-without-value environment PATH")
        case "a root that can't be written to":
            expected = expected.filter { !$0.hasPrefix("mount-etc-read-only ") && !$0.contains(".containerenv") }.union(
                ["/etc/hosts", "/etc/hostname"].map { "podman-etc-read-only mounts " + $0 }
                    + ["/run", "/tmp", "/var/tmp"].map { "podman-read-only-directories mounts " + $0 })
        default: break
        }
        return expected
    }

    @Test(arguments: ProcessComparisonTests.subjects) func onlyWhatRulesExplainDiffers(_ subject: ProcessComparisonTests.Subject) throws {
        let podman = try #require(SharedPodman.podman)
        let place = try Place()
        let archive = try place.archive(
            ProcessComparisonTests.layer + subject.layer, config: subject.config.replacingOccurrences(of: "'", with: "\\u0027"))
        let outcome = try place.shell(
            """
            export CONTAINER_HOST=\(podman.socket) TERM=vt100
            d2a compare \(archive) --only=process --with=podman --format=json \(subject.options) \(subject.arguments)
            """)
        let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
        try #require(report.parts.count == 1, "\(outcome.errors)")
        if let refusal = Self.refusals[subject.testDescription] {
            #expect(outcome.status == 2 && report.parts[0].problems.count == 1 && report.parts[0].problems[0].contains(refusal), "\(report.parts[0].problems)")
            return
        }
        #expect(report.parts[0].problems == [])
        let all = report.parts[0].differences.filter { !ProcessComparisonTests.isOfTheMachine($0.summary) && $0.rule != "podman-process-count" }
        let expected = Self.expected(subject)
        let seen = Set(all.map(\.summary))
        #expect(seen.subtracting(expected) == [], "\(all.filter { !expected.contains($0.summary) })")
        #expect(expected.subtracting(seen) == [])
        let matters = subject.matters || Self.mattering.contains(subject.testDescription)
        #expect(outcome.status == (matters ? 1 : 0), "\(all.filter(\.matters)) \(outcome.errors)")
        try place.expectNothingLeft()
    }

    /// Of a comparison that is killed the next one takes away what it has left; what isn't certainly of a dead process stays.
    @Test func theDeadLeaveNothing() throws {
        // Its own: others' comparisons would take away what was left, too.
        let podman = try Podman()
        let place = try Place()
        let archive = try place.archive(ProcessComparisonTests.layer, config: #"{"Cmd":["/bin/busybox","sleep","100"]}"#)
        let other = try place.shell("cp \(archive) other.docker; cp $BUSYBOX busybox.docker")
        #expect(other.status == 0)
        let outcome = try place.shell(
            """
            export CONTAINER_HOST=\(podman.socket)
            api() { curl -s --unix-socket \(podman.socket.dropFirst("unix://".count)) "http://podman/$@"; }
            ours() { api 'containers/json?all=1' | jq -r '.[].Labels["d2a-compare"] // empty'; api images/json | jq -r '.[].RepoTags[]?' | grep d2a-compare | cut -d: -f2; }
            d2a compare other.docker --only=process --with=podman --run-for=100 >/dev/null 2>&1 & process=$!
            # The probe is through, and the image's own program runs.
            until [ "$(api containers/json | jq 'map(select(.Labels["d2a-compare"])) | length')" = 1 ] && api containers/json | jq -r '.[].Command' | grep -q sleep; do sleep 0.2; kill -0 $process || exit 9; done
            kill -9 $process; wait $process 2>/dev/null; until [ -z "$(ls store/pods/run)" ]; do sleep 0.2; done; ours | grep -c -- "-$process-"
            sleep 100 & alive=$!; boot=$(cut -d- -f1 /proc/sys/kernel/random/boot_id); space=$(stat -Lc %i /proc/self/ns/pid)
            image=$(api images/json | jq -r '.[].RepoTags[]?' | grep d2a-compare | head -1)
            for tag in mine ffffffff-$space-$process-1-x $boot-1-$process-1-x $boot-$space-$alive-$(cut -d' ' -f22 /proc/$alive/stat)-x; do
                api "images/$image/tag?repo=localhost/d2a-compare&tag=$tag" -X POST >/dev/null; done
            d2a compare busybox.docker --only=process --with=podman >/dev/null 2>&1
            ours | grep -E -- "-x$|^mine$|-$process-" | sed "s/$boot/BOOT/; s/$space/SPACE/; s/-$process-/-DEAD-/; s/-$alive-[0-9]*/-ALIVE-START/" | LC_ALL=C sort; kill -9 $alive
            for tag in $(ours | grep -E -- '-x$|^mine$'); do api images/localhost/d2a-compare:$tag -X DELETE >/dev/null; done
            """)
        #expect(outcome.output == "2\nBOOT-1-DEAD-1-x\nBOOT-SPACE-ALIVE-START-x\nffffffff-SPACE-DEAD-1-x\nmine\n", "\(outcome)")
    }

    /// Manifest and tree, too, of images that differ in what they have.
    @Test func trees() throws {
        let podman = try #require(SharedPodman.podman)
        let place = try Place()
        for (layers, config, expected) in [
            (["mkdir etc; echo 1 >etc/a"], #"{"Cmd":["/a"]}"#, ["build-history", "console-links"]),
            (
                [
                    "mkdir -p a/b; echo 1 >a/one; ln a/one a/two; mkfifo a/pipe; echo gone >a/gone; chown 7:8 a/b",
                    "mkdir a; touch a/.wh.gone; echo 2 >a/new; chmod 700 a",
                ],
                #"{"Cmd":["/a"],"StopSignal":"SIGQUIT"}"#, ["build-history", "console-links", "stop-signal"]
            ),
        ] {
            let archive = try place.archive(layers.map { $0 + "; find . -mindepth 1 -exec touch -h -d @1000000000 {} +" }, config: config)
            let outcome = try place.shell("CONTAINER_HOST=\(podman.socket) d2a compare --only=manifest,filesystem --with=podman --format=json \(archive)")
            let report = try JSONDecoder().decode(Report.self, from: Data(outcome.output.utf8))
            #expect(report.parts.count == 2 && report.parts.allSatisfy { $0.problems == [] }, "\(outcome.errors)")
            #expect(Set(report.parts.flatMap { $0.differences.map(\.rule) }) == Set(expected), "\(report.parts.flatMap(\.differences))")
        }
    }
}
