import Accounts
import AppC
import Files
import Foundation
import Testing

@testable import Pod

/// A rendered root with accounts.
private final class Root {
    let path = NSTemporaryDirectory() + "/d2a-test-" + UUID().uuidString
    let directory: Directory
    init() throws {
        directory = try Directory.make(path)
        let etc = try directory.make("etc")
        try etc.write(Array("root:x:0:0:root:/root:/bin/ash\nweb:x:33:44:web:/srv:/bin/sh\n1000:x:7:8::/odd:\nbroken\n".utf8), atomicallyTo: "passwd")
        try etc.write(Array("root:x:0:\nwww:x:55:web\nmore:x:66:a,web\n".utf8), atomicallyTo: "group")
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func image(_ change: (inout App) -> Void = { _ in }, docker: [String: String]? = [:]) -> ImageManifest {
    var manifest = ImageManifest(name: "example.com/Some/web_server")
    var app = App()
    app.exec = ["/entry", "cmd"]
    change(&app)
    manifest.app = app
    if let docker {
        manifest.annotations =
            [NamedValue(name: "appc.io/docker/imageid", value: "x")] + docker.map { NamedValue(name: "appc.io/docker/" + $0.key, value: $0.value) }
    }
    return manifest
}

private func changes(_ change: (inout AppChanges) -> Void) -> AppChanges {
    var changes = AppChanges()
    change(&changes)
    return changes
}

@Suite struct PodAppTests {
    private let root: Root
    init() throws { root = try Root() }

    /// The app of an image in a pod of its own.
    private func app(_ manifest: ImageManifest, _ changes: AppChanges = .init(), terminal: String? = nil) throws -> PodApp {
        var pod = PodManifest()
        pod.apps = [try PodManifestApp(manifest, id: "sha512-00", changes: changes)]
        pod = pod.completed(images: [manifest]).manifest
        return try PodApp(pod.apps![0], of: pod, image: manifest, root: root.directory, terminal: terminal)
    }

    @Test func argumentsReplaceDockersCommandOnly() throws {
        let docker = image(docker: ["entrypoint": #"["/entry"]"#, "cmd": #"["cmd"]"#])
        #expect(try app(docker).arguments == ["/entry", "cmd"])
        #expect(try app(docker, changes { $0.arguments = ["a", "b"] }).arguments == ["/entry", "a", "b"])
        #expect(try app(image(), changes { $0.arguments = ["a"] }).arguments == ["a"])
        #expect(try app(image(docker: nil), changes { $0.arguments = ["a"] }).arguments == ["/entry", "cmd", "a"])
        #expect(try app(docker, changes { ($0.exec, $0.arguments) = ("/x", ["a"]) }).arguments == ["/x", "a"])
        #expect(throws: PodError.nothingToRun(image: "example.com/Some/web_server")) { try app(image { $0.exec = nil }) }
    }

    @Test func usersAreTheImagesOwn() throws {
        let web = try app(image { ($0.user, $0.group) = ("web", "www") })
        #expect(web.user == 33 && web.group == 55 && web.supplementaryGroups == [55])
        #expect(web.environment.first { $0.name == "HOME" }?.value == "/srv")
        // A name beats a number.
        #expect(try app(image { ($0.user, $0.group) = ("1000", "0") }).user == 7)
        let native = try app(image({ ($0.user, $0.group) = ("web", "web") }, docker: nil))
        #expect(native.group == 44 && native.supplementaryGroups == [])
        #expect(throws: PodError.unknownUser("nobody")) { try app(image { $0.user = "nobody" }) }
        #expect(throws: PodError.unknownGroup("nogroup")) { try app(image { $0.group = "nogroup" }) }
        #expect(try app(image { ($0.user, $0.group) = ("/etc/passwd", "/etc/passwd") }).user == geteuid())
        #expect(try app(image(), changes { $0.user = "web" }).group == 44)
        // As the engine has it: a number that the image doesn't know is of root's group; nothing is said of a native image's.
        let unknown = try app(image { ($0.user, $0.group) = ("web", "44") }, changes { $0.user = "1234" })
        #expect((unknown.user, unknown.group) == (1234, 0) && unknown.supplementaryGroups == [0])
        #expect(try app(image({ ($0.user, $0.group) = ("web", "44") }, docker: nil), changes { $0.user = "1234" }).group == 44)
        #expect(try app(image { ($0.user, $0.group) = ("web", "44") }).supplementaryGroups == [44, 55, 66])
        // Whoever chooses a group has no others, even where it is the user's own.
        for group in ["web", "44"] {
            #expect(try app(image { ($0.user, $0.group) = ("web", "44") }, changes { ($0.user, $0.group) = ("web", group) }).supplementaryGroups == [44])
            #expect(try app(image { ($0.user, $0.group) = ("web", "44") }, changes { $0.group = group }).supplementaryGroups == [44])
        }
        #expect(try app(image { ($0.user, $0.group) = ("web", "44") }, changes { $0.user = "web" }).supplementaryGroups == [44, 55, 66])
        var chosen = image { ($0.user, $0.group) = ("web", "44") }
        chosen.annotations?.append(NamedValue(name: "d2a.io/docker/user", value: "web:44"))
        #expect(try app(chosen).supplementaryGroups == [44])
    }

    @Test func hostileAccountsAreNotRead() throws {
        try root.directory.directory("etc").remove("passwd")
        #expect(symlink("/proc/self/mem", root.path + "/etc/passwd") == 0)
        #expect(try app(image()).user == 0)
        try root.directory.directory("etc").remove("passwd")
        #expect(mkfifo(root.path + "/etc/passwd", 0o644) == 0)
        #expect(try app(image()).user == 0)
    }

    @Test func environmentHasWhatTheSpecDemands() throws {
        let app = try self.app(
            image { $0.environment = [NamedValue(name: "PATH", value: "/x"), NamedValue(name: "AC_APP_NAME", value: "forged")] },
            changes { $0.environment = [NamedValue(name: "A", value: "b")] }, terminal: "xterm")
        let values = Dictionary(uniqueKeysWithValues: app.environment.map { ($0.name, $0.value) })
        #expect(values["PATH"] == "/x" && app.path == "/x")
        #expect(values["AC_APP_NAME"] == "web-server" && app.name == "web-server")
        #expect(values["container"] == "d2a" && values["TERM"] == "xterm" && values["A"] == "b" && values["HOME"] == "/root")
        #expect(throws: PodError.self) { try self.app(image { $0.exec = ["a\0b"] }) }
        #expect(throws: PodError.self) { try self.app(image { $0.environment = [NamedValue(name: "A=B", value: "")] }) }
    }

    @Test func capabilitiesAreTheFourteen() throws {
        #expect(try app(image()).capabilities.rawValue == 0xA804_25FB)
    }
}

@Suite struct GrammarTests {
    private let grammar = CommandGrammar(
        ofApp: ["exec", "mount", "ro"], switches: ["quiet", "rm"], optional: ["net": ("default", ["host"]), "ro": ("true", ["true", "false"])])

    @Test func wordsBelongToThePodOrToTheirImage() throws {
        let (pod, apps) = try grammar.split(
            [
                "--rm", "--dir", "/d", "--mount=a", "one", "--exec", "/x", "--quiet", "--", "a", "", "--", "b", "---", "two", "--net", "host", "--exec=/y",
                "---", "three",
            ])
        #expect(pod == ["--rm", "--dir=/d", "--mount-all=a", "--quiet", "--net=host"])
        #expect(
            apps == [
                AppWords(image: "one", options: ["--exec=/x"], arguments: ["a", "", "--", "b"]), AppWords(image: "two", options: ["--exec=/y"]),
                AppWords(image: "three"),
            ])
    }

    @Test func valuesThatMayBeMissing() throws {
        let (pod, apps) = try grammar.split(["--net", "image", "--rm=false", "--quiet=true", "--ro", "false", "other", "--ro", "--", "x"])
        #expect(pod == ["--net=default", "--quiet"])
        #expect(apps == [AppWords(image: "image", options: ["--ro=false"]), AppWords(image: "other", options: ["--ro=true"], arguments: ["x"])])
    }

    @Test func wordsOutOfPlace() {
        #expect(throws: GrammarError.beforeImage(option: "exec")) { try grammar.split(["--exec=/x", "one"]) }
        #expect(throws: GrammarError.secondArguments(image: "one")) { try grammar.split(["one", "--", "a", "---", "--", "b"]) }
        #expect(throws: GrammarError.emptyImage) { try grammar.split([""]) }
        #expect(throws: Never.self) { try grammar.split(["--", "one"]) }
    }
}

@Suite struct VolumeTests {
    private func pod(_ points: [MountPoint], mounts: [Mount] = [], volumes: [Volume] = []) -> (PodManifest, ImageManifest) {
        var manifest = image { $0.mountPoints = points }
        manifest.name = "x"
        var pod = PodManifest()
        var app = PodManifestApp(name: "app", image: .init(id: "sha512-00"))
        app.mounts = mounts
        (pod.apps, pod.volumes) = ([app], volumes)
        return (pod, manifest)
    }

    @Test func everyMountPointGetsAVolume() throws {
        let points = [
            MountPoint(name: "byname", path: "/a"), MountPoint(name: "bypath", path: "/b/../b"), MountPoint(name: "alone", path: "/c", readOnly: true),
        ]
        let (manifest, image) = pod(
            points, mounts: [Mount(volume: "other", path: "/b")], volumes: [Volume(name: "byname", kind: "empty"), Volume(name: "other", kind: "empty")])
        let (complete, implicit) = manifest.completed(images: [image])
        #expect(implicit == [ImplicitVolume(app: "app", mountPoint: "alone", path: "/c", volume: "app-alone", isSeeded: true)])
        let mounts = try AppMount.all(of: complete.apps![0], image.app!, in: complete)
        #expect(mounts.map(\.path) == ["/a", "/b", "/c"] && mounts.map(\.readOnly) == [false, false, true])
        #expect(mounts.map(\.source) == [.pod("byname"), .pod("other"), .pod("app-alone")])
    }

    @Test func mountsThatCannotBe() throws {
        func mounts(_ mounts: [Mount]) throws -> [AppMount] {
            let (pod, image) = pod([], mounts: mounts, volumes: [Volume(name: "v", kind: "empty")])
            return try AppMount.all(of: pod.apps![0], image.app!, in: pod)
        }
        #expect(throws: PodError.noVolume("zz", path: "/m")) { try mounts([Mount(volume: "zz", path: "/m")]) }
        #expect(throws: PodError.mountedTwice(path: "/m")) { try mounts([Mount(volume: "v", path: "/m"), Mount(volume: "v", path: "/x/../m")]) }
        for path in ["/", "/..", "/proc", "/proc/sys"] { #expect(throws: PodError.self) { try mounts([Mount(volume: "v", path: path)]) } }
        #expect(try mounts([Mount(volume: "v", path: "/data/sub"), Mount(volume: "v", path: "/data")]).map(\.path) == ["/data", "/data/sub"])
    }
}
