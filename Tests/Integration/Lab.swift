import Foundation
import Testing

/// What a program printed and how it ended.
struct Outcome {
    var status: Int32
    var output: String
    var errors: String
}

/// Real peers and our own programs, in a directory that goes with the tests.
enum Lab {
    static let isRoot = geteuid() == 0
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    /// Where the programs are that are tested: `D2A_PROGRAMS`, or beside the tests, where those were built that aren't optimised.
    static let programs =
        ProcessInfo.processInfo.environment["D2A_PROGRAMS"]
        ?? URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path

    /// What running pods from images made here takes.
    static let runsPods = isRoot && has("skopeo") && has("umoci") && has("busybox")

    /// What a program may take: whoever waits for what never comes must not hold up all others for ever.
    private static let minutes = 15

    static func has(_ program: String) -> Bool { (try? run("sh", ["-c", "command -v \(program)"]).status) == 0 }

    /// Runs a program to its end. One of ours by its name, any other by PATH.
    @discardableResult
    static func run(_ program: String, _ arguments: [String], in directory: String = "/", environment: [String: String] = [:], input: String = "") throws
        -> Outcome
    {
        let process = Process()
        let ours = "\(programs)/\(program)"
        process.executableURL = URL(fileURLWithPath: FileManager.default.isExecutableFile(atPath: ours) ? ours : "/usr/bin/env")
        process.arguments = process.executableURL!.path == ours ? arguments : [program] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: directory)
        // Never the cache of whoever runs the tests.
        let defaults = ["D2A_CACHE": NSTemporaryDirectory() + "/d2a-lab-\(getpid())/cache"]
        process.environment = ProcessInfo.processInfo.environment.merging(defaults) { $1 }.merging(environment) { $1 }
        // Files, not pipes: whatever a program leaves running must not hold the test up.
        let scratch = NSTemporaryDirectory() + "/d2a-outcome-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        for name in ["in", "out", "err"] {
            _ = FileManager.default.createFile(atPath: "\(scratch)/\(name)", contents: Data(name == "in" ? input.utf8 : "".utf8))
        }
        process.standardInput = FileHandle(forReadingAtPath: "\(scratch)/in")
        process.standardOutput = FileHandle(forWritingAtPath: "\(scratch)/out")
        process.standardError = FileHandle(forWritingAtPath: "\(scratch)/err")
        try process.run()
        // It has a process group of its own.
        let group = -process.processIdentifier
        let end = DispatchWorkItem { kill(group, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(minutes * 60), execute: end)
        process.waitUntilExit()
        end.cancel()
        func text(_ name: String) -> String { (try? String(contentsOfFile: "\(scratch)/\(name)", encoding: .utf8)) ?? "" }
        let status = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
        return Outcome(status: status, output: text("out"), errors: text("err"))
    }

    /// The directory of those peers that are in Python (`scripts/python-peers`); nil where they can't be had.
    static let pythonPeers: String? = {
        guard has("python3"), let outcome = try? run("\(package)/scripts/python-peers", []), outcome.status == 0 else { return nil }
        return outcome.output.trimmingCharacters(in: .newlines)
    }()

    /// A `docker save` archive of busybox that skopeo wrote, made once.
    static let busybox: String = {
        let path = NSTemporaryDirectory() + "/d2a-lab-\(getpid())"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: NSTemporaryDirectory() + "/d2a-lab-\(getpid())") }
        let outcome = try! run("\(package)/scripts/make-busybox", [path])
        precondition(outcome.status == 0, "make-busybox: \(outcome.errors)")
        return path + "/busybox.docker"
    }()
}

/// A directory of one test's own, with a store in it.
final class Place {
    /// As the kernel writes it: mounts are found by it.
    let path = URL(fileURLWithPath: NSTemporaryDirectory()).path + "/d2a-place-" + UUID().uuidString
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { for path in [path, cache] { try? FileManager.default.removeItem(atPath: path) } }

    var store: String { path + "/store" }
    /// Beside it, so that what a test makes is all that lies in it.
    var cache: String { path + "-cache" }
    private var environment: [String: String] { ["D2A_DIR": store, "D2A_CACHE": cache] }

    @discardableResult
    func run(_ program: String, _ arguments: String..., input: String = "") throws -> Outcome {
        try Lab.run(program, arguments, in: path, environment: environment, input: input)
    }

    @discardableResult
    func run(words: [String]) throws -> Outcome { try Lab.run(words[0], Array(words.dropFirst()), in: path, environment: environment) }

    /// A line of shell, with our programs on PATH.
    @discardableResult
    func shell(_ line: String) throws -> Outcome {
        let path = "\(Lab.programs):" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
        return try Lab.run("bash", ["-c", line], in: self.path, environment: environment.merging(["PATH": path, "BUSYBOX": Lab.busybox]) { $1 })
    }

    /// Busybox, in the store.
    /// - Returns: its ID.
    func fetchBusybox(sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        let fetched = try run("d2a", "fetch", Lab.busybox)
        try #require(fetched.status == 0, "\(fetched.errors)", sourceLocation: sourceLocation)
        return fetched.output.trimmingCharacters(in: .newlines)
    }

    func names(_ directory: String = "") -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + directory)) ?? []).sorted() }

    /// What must be gone when nothing runs.
    func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(names("store/tmp") == [], sourceLocation: sourceLocation)
        for phase in names("store/pods") { #expect(names("store/pods/\(phase)") == [], "\(phase)", sourceLocation: sourceLocation) }
        #expect(try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).contains(store) == false, sourceLocation: sourceLocation)
    }

    /// An option by which a pod is known to ``expectNoGroups(sourceLocation:)`` when it is gone.
    var newUUIDFile: String { "--uuid-file-save=\(path)/uuid.\(UInt64.random(in: 0...UInt64.max))" }

    /// No control group is left of the pods whose UUIDs are in files of this directory called `uuid…`.
    func expectNoGroups(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let uuids = try names().filter { $0.hasPrefix("uuid") }.map { try String(contentsOfFile: "\(path)/\($0)", encoding: .utf8) }
        #expect(!uuids.isEmpty, sourceLocation: sourceLocation)
        let groups = try Lab.run("find", ["/sys/fs/cgroup", "-type", "d"]).output
        for uuid in uuids { #expect(!groups.contains(uuid), sourceLocation: sourceLocation) }
    }

    /// An archive as `docker save` writes it, of trees that lines of shell make, one a layer.
    /// - Parameter more: more members of the configuration, each with a comma before it.
    func archive(_ layers: String..., config: String = #"{"Cmd":["/bin/sh"]}"#, more: String = "") throws -> String {
        try archive(layers, config: config, more: more)
    }

    func archive(_ layers: [String], config: String = #"{"Cmd":["/bin/sh"]}"#, more: String = "") throws -> String {
        var script = "set -e; rm -rf make; mkdir make; cd make; ids=(); names=()\n"
        for (number, layer) in layers.enumerated() {
            // Without the times of this moment, so that equal trees are equal layers.
            script += "mkdir t\(number) \(number); (cd t\(number); \(layer)); tar -C t\(number) --xattrs --xattrs-include='*' "
            script += "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf \(number)/layer.tar .; "
            script += "ids+=(\"\\\"sha256:$(sha256sum <\(number)/layer.tar | cut -c1-64)\\\"\"); names+=('\"\(number)/layer.tar\"')\n"
        }
        script += """
            join() { local IFS=,; echo "$*"; }
            printf '{"architecture":"amd64","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":[%s]}%s}' '\(config)' "$(join "${ids[@]}")" '\(more)' >c
            name=$(sha256sum <c | cut -c1-64).json; mv c $name
            printf '[{"Config":"%s","RepoTags":["made:latest"],"Layers":[%s]}]' $name "$(join "${names[@]}")" >manifest.json
            tar -cf ../made.docker manifest.json $name \(layers.indices.map { "\($0)/layer.tar" }.joined(separator: " ")); cd ..; rm -rf make
            """
        let outcome = try shell(script)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return path + "/made.docker"
    }
}

/// A real registry on loopback, ended with this object.
final class RegistryServer {
    let address: String
    let root: String
    private let process = Process()
    private let log: String
    /// Goes after the server that works in it.
    private let place: Place

    /// - Parameters:
    ///   - options: more of the configuration, a line of YAML each.
    ///   - http: more of its part `http`.
    init(_ place: Place, options: String = "", http: String = "") throws {
        self.place = place
        root = place.path + "/registry"
        // The kernel chooses a port that is free, and the log says which.
        let config =
            "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: \(root)}}\nhttp: {addr: \"127.0.0.1:0\"\(http)}\n\(options)"
        try config.write(toFile: place.path + "/registry.yml", atomically: true, encoding: .utf8)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["docker-registry", "serve", place.path + "/registry.yml"]
        log = place.path + "/registry.log"
        let errors = place.path + "/registry.errors"
        for path in [log, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: log)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        var port: Substring?
        for _ in 0..<200 where port == nil {
            port = try String(contentsOfFile: errors, encoding: .utf8).firstMatch(of: /listening on 127\.0\.0\.1:([0-9]+)/)?.1
            if port == nil { usleep(50_000) }
        }
        address = "127.0.0.1:" + (try #require(port, "docker-registry doesn't start: \((try? String(contentsOfFile: errors, encoding: .utf8)) ?? "")"))
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    /// Changes a byte of every layer that it keeps.
    func damage() throws {
        let outcome = try Lab.run(
            "sh",
            [
                "-c",
                "find \(root) -path '*/blobs/sha256/*/data' | while read -r f; do [ \"$(head -c 1 $f)\" = '{' ] || printf damaged | dd of=$f bs=1 seek=30 conv=notrunc 2>/dev/null; done",
            ])
        try #require(outcome.status == 0, "\(outcome.errors)")
    }

    /// The access log, a line each.
    var requests: [String] { ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }

    func push(_ archive: String, as name: String, _ options: String...) throws {
        let outcome = try Lab.run(
            "skopeo", ["copy", "-q", "--dest-tls-verify=false"] + options + ["docker-archive:" + archive, "docker://\(address)/\(name)"])
        try #require(outcome.status == 0, "\(outcome.errors)")
    }
}

/// The registry of `Tests/Fixtures`, which misbehaves, with an image of two layers that it serves; ended with this object.
final class FixtureRegistry {
    /// What speaks both protocols, and what speaks the first one only.
    let (address, oldAddress): (String, String)
    /// The port of another origin.
    let elsewhere: String
    /// The image that it serves.
    let archive: String
    private let process = Process()
    private let input = Pipe()
    private let log: String
    /// Goes after the server that works in it.
    private let place: Place

    init(_ place: Place) throws {
        self.place = place
        archive = try place.archive(
            "mkdir bin etc; cp $BUSYBOX bin/large; echo a >etc/a; echo b >etc/b; ln etc/b etc/c", "mkdir etc; touch etc/.wh.a; seq 100000 >etc/numbers",
            more: #","history":[{"created":"2015-01-01T00:00:00Z","created_by":"a"},{"created":"2015-01-02T00:00:00Z","created_by":"b"}]"#)
        log = place.path + "/log"
        let outcome = try place.shell("skopeo copy -q docker-archive:\(archive) oci:layout:latest")
        try #require(outcome.status == 0, "\(outcome.errors)")
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", Lab.package + "/Tests/Fixtures/registry.py", place.path + "/layout", log]
        process.standardInput = input
        // Clients that give up, as they should, bring complaints.
        process.standardError = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var printed = Data()
        while !printed.contains(UInt8(ascii: "\n")), case let more = output.fileHandleForReading.availableData, !more.isEmpty { printed += more }
        let ports = String(decoding: printed, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        try #require(ports.count == 3)
        (address, oldAddress, elsewhere) = ("127.0.0.1:\(ports[0])", "127.0.0.1:\(ports[1])", String(ports[2]))
    }

    deinit {
        input.fileHandleForWriting.closeFile()
        process.waitUntilExit()
    }

    /// All requests so far, a line each.
    var requests: [String] { ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }
}

/// A server of `Tests/Fixtures` that prints its port and logs a line a request; ended with this object.
final class FixtureServer {
    let port: String
    /// What else it printed of itself at its start.
    let words: [String]
    private let process = Process()
    private let input = Pipe()
    private let log: String
    /// Goes after the server that works in it.
    private let place: Place

    /// - Parameters:
    ///   - python: what runs it.
    ///   - arguments: before those that follow the name of the log.
    init(_ place: Place, _ script: String, python: String = "python3", _ arguments: String..., more: [String] = []) throws {
        self.place = place
        log = place.path + "/\(script).log"
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [python, "\(Lab.package)/Tests/Fixtures/\(script)"] + arguments + [log] + more
        process.standardInput = input
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = Data()
        while !line.contains(UInt8(ascii: "\n")), case let more = output.fileHandleForReading.availableData, !more.isEmpty { line += more }
        let printed = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
        (port, words) = (try #require(printed.first, "\(script) doesn't start"), Array(printed.dropFirst()))
    }

    deinit {
        input.fileHandleForWriting.closeFile()
        process.waitUntilExit()
    }

    var requests: [String] { ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }

    /// Relays to a server of this machine, so many bytes a second.
    static func relay(to address: String, rate: String, on own: String = "127.0.0.1") throws -> FixtureServer {
        let parts = address.split(separator: ":").map(String.init)
        return try FixtureServer(try Place(), "relay.py", parts[0], parts[1], rate, more: [own])
    }
}

/// A real Docker engine, ended with this object.
final class Engine {
    let socket: String
    private let process = Process()
    private let root: String
    /// Goes after the engine that works in it.
    private let place: Place

    /// - Parameter options: more of dockerd's.
    init(_ place: Place, _ options: String...) throws {
        self.place = place
        root = place.path + "/docker"
        socket = "unix://\(root)/docker.sock"
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            [
                "python3", "\(Lab.package)/Tests/Fixtures/unmasked.py", "dockerd", "--bridge=none", "--iptables=false", "--ip-masq=false", "-H", socket,
                "--data-root", root + "/data", "--exec-root", root + "/exec", "-p",
                root + "/pid",
            ] + options
        _ = FileManager.default.createFile(atPath: root + "/log", contents: nil)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: root + "/log")
        try process.run()
        for _ in 0..<300 {
            if try Lab.run("docker", ["-H", socket, "version"]).status == 0 { return }
            usleep(100_000)
        }
        Issue.record("dockerd doesn't answer: \((try? String(contentsOfFile: root + "/log", encoding: .utf8)) ?? "")")
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        _ = try? Lab.run("sh", ["-c", "grep -o '\(root)[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l 2>/dev/null; rm -rf \(root)"])
    }
}
