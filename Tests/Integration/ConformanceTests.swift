import AppC
import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("mount")

/// A pod of two apps, main and sidekick, in which `appc-probe` looks for what the appc spec promises. docs/conformance.md has the
/// table of sentences and checks.
@Suite(.serialized, .enabled(if: ready, "needs root"))
final class ConformanceTests {
    private let place: Place
    private let id: String
    private var out: String { place.path + "/out" }

    init() throws {
        place = try Place()
        let image = try place.archive(
            "mkdir -p opt/conformance filled etc; cp \(Lab.programs)/appc-probe probe; touch filled/of-the-image file; echo root:x:0:0::/root: >etc/passwd",
            config: #"{"Cmd":["/probe"]}"#)
        let fetched = try place.run("d2a", "fetch", image)
        try #require(fetched.status == 0, "\(fetched.errors)")
        id = fetched.output.trimmingCharacters(in: .newlines)
        let made = try place.shell(
            "mkdir -p out ro tree/below; mount -t tmpfs none tree/below && touch tree/below/here; echo 'one file' >single")
        try #require(made.status == 0, "\(made.errors)")
    }

    deinit { _ = try? place.shell("umount tree/below") }

    private func volume(_ name: String, _ change: (inout Volume) -> Void = { _ in }) -> Volume {
        var volume = Volume(name: name, kind: "empty")
        change(&volume)
        if volume.source != nil { volume.kind = "host" }
        return volume
    }

    private func app(_ name: String, mounts: [String: String], change: (inout PodManifestApp, inout App) -> Void) -> PodManifestApp {
        var item = PodManifestApp(name: name, image: .init(id: id))
        var app = App()
        app.exec = ["/probe", name]
        app.environment = [NamedValue(name: "CONFORMANCE", value: name)]
        item.mounts = mounts.sorted { $0.key < $1.key }.map { Mount(volume: $0.key, path: $0.value) }
        change(&item, &app)
        item.app = app
        return item
    }

    private func pod() -> PodManifest {
        var pod = PodManifest()
        pod.annotations = [NamedValue(name: "ip-address", value: "10.1.2.3")]
        pod.volumes = [
            volume("db"), volume("made"), volume("filled"), volume("file"),
            volume("out") { $0.source = self.out },
            volume("ro") { ($0.source, $0.readOnly) = (self.place.path + "/ro", true) },
            volume("owned") { ($0.mode, $0.uid, $0.gid) = ("1775", 1234, 5678) },
            volume("single") { $0.source = self.place.path + "/single" },
            volume("tree") { $0.source = self.place.path + "/tree" },
            volume("flat") { ($0.source, $0.recursive) = (self.place.path + "/tree", false) },
            volume("guarded"), volume("inner"), volume("outer"),
        ]
        let all = [
            "out": "/out", "made": "/made/deep/volume", "filled": "/filled", "file": "/file", "ro": "/ro", "owned": "/owned", "single": "/single",
            "tree": "/tree", "flat": "/flat", "inner": "/outer/inner", "outer": "/outer",
        ]
        pod.apps = [
            app("main", mounts: all) { item, app in
                app.workingDirectory = "/opt/conformance"
                // By name, where the others are by path.
                app.mountPoints = [MountPoint(name: "db", path: "/db"), MountPoint(name: "guarded", path: "/guarded", readOnly: true)]
                // A volume of its own wins over the pod's of that name.
                item.mounts?.append(Mount(volume: "db", path: "/inline", appVolume: Volume(name: "own", kind: "empty")))
                app.eventHandlers = try! CanonicalJSON.decode(
                    [EventHandler].self,
                    from: #"[{"name":"pre-start","exec":["/probe","pre-start"]},{"name":"post-stop","exec":["/probe","post-stop"]}]"#.utf8)
                item.annotations = [NamedValue(name: "foo", value: "baz")]
            },
            app("sidekick", mounts: ["db": "/db", "out": "/out"]) { item, app in
                item.readOnlyRootFS = true
                app.isolators = [
                    Isolator(name: "os/linux/no-new-privileges", value: .bool(true)),
                    Isolator(
                        name: "os/linux/capabilities-remove-set",
                        value: .object(["set": .array([.string("CAP_SYS_CHROOT"), .string("CAP_MKNOD")])])),
                ]
            },
        ]
        return pod
    }

    private func report(_ mode: String) -> [String] {
        ((try? String(contentsOfFile: "\(out)/\(mode)", encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }

    private static let runtimes = ["runc", "crun"].filter { Lab.has($0) }.map { ["--stage1=" + $0] }

    @Test(arguments: [[String](), ["--no-overlay"]] + runtimes) func everySentenceThatCanBeSeenFromInside(_ options: [String]) throws {
        try CanonicalJSON.text(pod()).write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
        // Every run begins with a clean copy: the second would find the first one's files.
        for _ in 0..<2 {
            let outcome = try Lab.run(
                "d2a", ["run", "--rm", "--mds-register"] + options + ["--pod-manifest", place.path + "/pod.json"],
                environment: ["D2A_DIR": place.store, "D2A_RUN_DIR": place.path + "/run"])
            #expect(outcome.status == 0, "\(outcome.errors)")
            for mode in ["pre-start", "main", "sidekick", "post-stop"] {
                let lines = report(mode)
                #expect(lines.filter { !$0.hasPrefix("ok ") } == [], "\(mode)")
                #expect(lines.last == "ok end", "\(mode): \(lines)")
                #expect(outcome.output.contains("\(mode) to stdout") && outcome.errors.contains("\(mode) to stderr"), "\(outcome)")
            }
            try metadata()
            try place.shell("rm out/*")
        }
        try place.expectNothingLeft()
    }

    /// The bodies that came, whose types the probe has looked at.
    private func metadata() throws {
        func body(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: "\(out)/\(name)"))) }
        for mode in ["main", "sidekick"] {
            let uuid = String(decoding: try body("\(mode).uuid"), as: UTF8.self)
            #expect(UUID(uuidString: uuid)?.uuidString.lowercased() == uuid)
            #expect(try body("\(mode).annotations") == Array(#"[{"name":"ip-address","value":"10.1.2.3"}]"#.utf8))
            let manifest = try CanonicalJSON.decode(PodManifest.self, from: body("\(mode).manifest"))
            #expect(manifest.apps?.map(\.name) == ["main", "sidekick"])
            // Reified: every mount has its volume, every image its whole ID.
            let volumes = Set((manifest.volumes ?? []).map(\.name))
            #expect(manifest.apps?.allSatisfy { ($0.mounts ?? []).allSatisfy { volumes.contains($0.volume) } } == true)
            #expect(manifest.apps?.map(\.image.id) == [id, id])
            #expect(try body("\(mode).image-id") == Array(id.utf8))
            let image = try CanonicalJSON.decode(ImageManifest.self, from: body("\(mode).image-manifest"))
            #expect(try place.run("d2a", "image", "cat-manifest", id).output.contains(image.name))
            let annotations = try CanonicalJSON.decode([NamedValue].self, from: body("\(mode).app-annotations"))
            #expect(annotations.contains(NamedValue(name: "foo", value: "baz")) == (mode == "main"))
            #expect(Set((image.annotations ?? []).map(\.name)).isSubset(of: Set(annotations.map(\.name))))
        }
    }
}
