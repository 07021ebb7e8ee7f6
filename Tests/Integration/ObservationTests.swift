import AppC
import Files
import Foundation
import Observation
import RuntimeBundle
import Testing

/// Images, and the probe in their place, run by the Docker engine, by OCI runtimes and in pods, and what is told of how that went.
@Suite(.enabled(if: Lab.runsPods && Lab.has("dockerd") && Lab.has("runc"), "needs root, dockerd, runc, skopeo, umoci and busybox (make setup)"))
struct ObservationTests {
    private static let probe = Lab.programs + "/d2a-probe"

    /// An image in the store, its tree, and its configuration.
    private struct Subject {
        let place: Place
        let id: String
        let tree: Directory
        let settings: DockerSettings

        init(_ place: Place, config: String, layer: String = "mkdir bin; cp /usr/bin/busybox bin/busybox; ln -s busybox bin/sh; ln -s busybox bin/sleep") throws
        {
            self.place = place
            let archive = try place.archive(layer, config: config)
            let fetched = try place.run("d2a", "fetch", archive)
            try #require(fetched.status == 0, "\(fetched.errors)")
            id = fetched.output.trimmingCharacters(in: .newlines)
            try place.run("d2a", "run", "--rm", "--net=none", id, "--exec=/nothing")
            tree = try Directory.open("\(place.store)/cas/tree/\(id)/rootfs")
            settings = try DockerSettings(Array(#"{"config":\#(config)}"#.utf8))
        }

        /// - Parameter runtime: nil for a pod.
        func run(_ runtime: OCIRuntime?, _ arguments: [String] = [], _ conditions: RunConditions = .init(), probe words: [String]? = nil) throws -> RunRecord {
            guard let runtime else {
                return try PodRun(program: Lab.programs + "/d2a", directory: place.store, image: id)
                    .run(arguments, probe: words.map { (ObservationTests.probe, $0) }, conditions)
            }
            let scratch = try Directory.make("\(place.path)/scratch-\(UUID().uuidString)")
            defer { #expect((try? scratch.names()) == []) }
            return try RuntimeContainer(runtime, settings: settings, tree: tree, scratch: scratch)
                .run(arguments, probe: words.map { _ in ObservationTests.probe }, conditions)
        }
    }

    @Test(arguments: [nil, OCIRuntime.runc, .crun] as [OCIRuntime?])
    func endsAreToldApart(_ runtime: OCIRuntime?) throws {
        let place = try Place()
        let subject = try Subject(place, config: #"{"Cmd":["/bin/sh"]}"#)
        func run(_ script: String, _ conditions: RunConditions = .init()) throws -> RunRecord {
            try subject.run(runtime, ["/bin/sh", "-c", script], conditions)
        }
        let plain = try run("echo out; echo err >&2; exit 137")
        #expect(plain.status == 137 && plain.signal == nil && plain.stop == nil && plain.refusal == nil)
        #expect(plain.output.beginning == Array("out\n".utf8) && plain.errors.beginning == Array("err\n".utf8))
        let killed = try run("kill -KILL $$")
        // Of process 1 the kernel has it that it can't kill itself.
        #expect(runtime == nil ? killed.status == 137 && killed.signal == 9 : killed.status == 0)

        var conditions = RunConditions()
        (conditions.patience, conditions.grace) = (1, 2)
        let obedient = try run("trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done", conditions)
        #expect(obedient.status == 3 && obedient.stop == .ended && obedient.output.beginning == Array("bye\n".utf8))
        conditions.stopSignal = StopSignal("SIGUSR1")!
        #expect(try run("trap 'exit 4' USR1; while :; do sleep 0.1; done", conditions).status == 4)
        (conditions.stopSignal, conditions.grace) = (.standard, 1)
        let stubborn = try run("trap : TERM; while :; do sleep 0.1; done", conditions)
        #expect(stubborn.stop == .killed && stubborn.signal == 9 && (1500..<20_000).contains(stubborn.milliseconds ?? 0))
        try place.expectNothingLeft()
    }

    @Test(arguments: [nil, OCIRuntime.runc, .crun] as [OCIRuntime?])
    func whatWasNeverStartedIsToldFromWhatFailed(_ runtime: OCIRuntime?) throws {
        let place = try Place()
        let layer = "mkdir bin; cp /usr/bin/busybox bin/busybox; ln -s busybox bin/sh; echo garbage >bad; chmod +x bad; echo x >plain"
        let subject = try Subject(place, config: #"{"Cmd":["/bin/sh"]}"#, layer: layer)
        for program in ["/missing", "missing", "/bad", "/plain"] {
            let record = try subject.run(runtime, [program])
            #expect(record.refusal?.isEmpty == false && record.status == nil, "\(program) \(record)")
        }
        let nobody = try Subject(place, config: #"{"Cmd":["/bin/sh"],"User":"nobody"}"#, layer: layer).run(runtime)
        #expect(nobody.refusal?.contains("nobody") == true && nobody.status == nil)
        for status in [1, 126, 127, 255] { #expect(try subject.run(runtime, ["/bin/sh", "-c", "exit \(status)"]).status == Int32(status)) }
    }

    @Test(arguments: [false, true], [nil, OCIRuntime.runc, .crun] as [OCIRuntime?])
    func theProbeSaysWhatItFinds(_ terminal: Bool, _ runtime: OCIRuntime?) throws {
        let place = try Place()
        // Nothing is in the image but a directory.
        let subject = try Subject(
            place, config: #"{"Entrypoint":["/app","x y"],"Cmd":["z"],"User":"12:34","WorkingDir":"/w","Env":["A=b"]}"#,
            layer: "mkdir w; touch app; chmod +x app")
        var conditions = RunConditions()
        (conditions.terminal, conditions.readOnlyRoot) = (terminal, true)
        let record = try subject.run(runtime, [], conditions, probe: ["/app", "x y", "z"])
        #expect(record.status == 0, "\(record)")
        let seen = try Surroundings(record.output.beginning)
        #expect(seen.arguments == ["/app", "x y", "z"] && seen.users == [12, 12, 12] && seen.groups == [34, 34, 34] && seen.directory == "/w")
        #expect(seen.environment.contains("A=b") && seen.capabilities.bounding == "00000000a80425fb" && seen.capabilities.effective == "0000000000000000")
        #expect(seen.terminal == [terminal, terminal, terminal] && seen.terminalSize == (terminal ? "24x80" : nil))
        #expect(seen.mounts.first { $0.point == "/" }?.options.hasPrefix("ro") == true)
        #expect(try #require(seen.mounts.first { $0.point == "/.d2a-probe" }).options.hasPrefix("ro"))
        #expect(seen.ignoredSignals == "0000000000000000" && seen.blockedSignals == "0000000000000000")
        #expect(FileManager.default.fileExists(atPath: subject.tree.path + "/.d2a-probe") == false)
        try place.expectNothingLeft()
    }

    @Test func theEngineRunsImagesAndLeavesNothing() throws {
        let place = try Place()
        let engine = try Engine(place)
        setenv("DOCKER_HOST", engine.socket, 1)
        defer { unsetenv("DOCKER_HOST") }
        func helper(_ words: String, _ more: String = "") throws -> String {
            let outcome = try place.shell("exec 3>report; d2a-image \(words) \(more) && cat report")
            try #require(outcome.status == 0, "\(outcome.errors)")
            return outcome.output
        }
        let archive = try place.archive("mkdir bin; cp $BUSYBOX bin/b; cp /usr/bin/busybox bin/busybox; ln -s busybox bin/sh", config: #"{"Cmd":["/bin/sh"]}"#)
        let id = "sha256:" + (try place.shell("tar -xOf \(archive) manifest.json | jq -r .[0].Config | cut -c1-64")).output.trimmingCharacters(in: .newlines)
        #expect(try helper("engine-load --id \(id) made:latest", "4<\(archive)") == #"{"isNew":true}"#)
        #expect(try helper("engine-load --id \(id) made:latest", "4</dev/null") == #"{"isNew":false}"#)
        #expect(try helper("engine-version").contains("."))

        func run(_ script: [String], probe: Bool = false, image: String = "made:latest", _ conditions: RunConditions = .init()) throws -> RunRecord {
            let request = EngineRun(image: image, arguments: script, probe: probe ? Self.probe : nil, conditions: conditions, mark: "test")
            try CanonicalJSON.text(request).write(toFile: place.path + "/request", atomically: true, encoding: .utf8)
            return try CanonicalJSON.decode(RunRecord.self, from: Array(helper("engine-run", "4<request").utf8))
        }
        let plain = try run(["/bin/sh", "-c", "echo out; echo err >&2; seq 100000; exit 137"])
        #expect(plain.status == 137 && plain.stop == nil && plain.errors.beginning == Array("err\n".utf8) && plain.errors.count == 4)
        #expect(plain.output.count == 588_899 && plain.output.beginning.count == OutputRecord.limit)
        #expect(plain.output.sha256 == (try place.shell("(echo out; seq 100000) | sha256sum | cut -c1-64")).output.trimmingCharacters(in: .newlines))
        #expect(try run(["/missing"]).refusal?.contains("/missing") == true)
        #expect(try run(["/bin/sh"], image: "nothing:latest").refusal?.contains("No such image") == true)

        var conditions = RunConditions()
        (conditions.patience, conditions.grace) = (1, 1)
        let stubborn = try run(["/bin/sh", "-c", "trap 'echo no' TERM; while :; do sleep 0.1; done"], conditions)
        #expect(stubborn.stop == .killed && stubborn.status == 137 && stubborn.output.beginning == Array("no\n".utf8))
        conditions.terminal = true
        let seen = try Surroundings(try run(["/bin/sh", "x"], probe: true, conditions).output.beginning)
        #expect(seen.arguments == ["/bin/sh", "x"] && seen.terminal == [true, true, true] && seen.terminalSize == "24x80")
        _ = try place.shell("d2a-image engine-forget made:latest")
        #expect(
            try place.shell("docker -H \(engine.socket) ps -aq; docker -H \(engine.socket) images -q; docker -H \(engine.socket) volume ls -q").output == "")
        #expect(try place.shell("exec 3>report; DOCKER_HOST=unix:///nothing d2a-image engine-version --missing 9").status == 9)
    }
}
