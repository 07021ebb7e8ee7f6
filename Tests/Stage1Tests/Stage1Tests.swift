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

    @Test func argumentsReplaceDockersCommandOnly() throws {
        let docker = image(docker: ["entrypoint": #"["/entry"]"#, "cmd": #"["cmd"]"#])
        #expect(try PodApp(docker, root: root.directory).arguments == ["/entry", "cmd"])
        #expect(try PodApp(docker, changes: changes { $0.arguments = ["a", "b"] }, root: root.directory).arguments == ["/entry", "a", "b"])
        #expect(try PodApp(image(), changes: changes { $0.arguments = ["a"] }, root: root.directory).arguments == ["a"])
        #expect(try PodApp(image(docker: nil), changes: changes { $0.arguments = ["a"] }, root: root.directory).arguments == ["/entry", "cmd", "a"])
        #expect(try PodApp(docker, changes: changes { ($0.exec, $0.arguments) = ("/x", ["a"]) }, root: root.directory).arguments == ["/x", "a"])
        #expect(throws: PodError.nothingToRun(image: "example.com/Some/web_server")) { try PodApp(image { $0.exec = nil }, root: root.directory) }
    }

    @Test func usersAreTheImagesOwn() throws {
        let web = try PodApp(image { ($0.user, $0.group) = ("web", "www") }, root: root.directory)
        #expect(web.user == 33 && web.group == 55 && web.supplementaryGroups == [55, 66])
        #expect(web.environment.first { $0.name == "HOME" }?.value == "/srv")
        // A name beats a number.
        #expect(try PodApp(image { ($0.user, $0.group) = ("1000", "0") }, root: root.directory).user == 7)
        let native = try PodApp(image({ ($0.user, $0.group) = ("web", "web") }, docker: nil), root: root.directory)
        #expect(native.group == 44 && native.supplementaryGroups == [])
        #expect(throws: PodError.unknownUser("nobody")) { try PodApp(image { $0.user = "nobody" }, root: root.directory) }
        #expect(throws: PodError.unknownGroup("nogroup")) { try PodApp(image { $0.group = "nogroup" }, root: root.directory) }
        #expect(try PodApp(image { ($0.user, $0.group) = ("/etc/passwd", "/etc/passwd") }, root: root.directory).user == geteuid())
        #expect(try PodApp(image(), changes: changes { $0.user = "web" }, root: root.directory).group == 44)
    }

    @Test func hostileAccountsAreNotRead() throws {
        try root.directory.directory("etc").remove("passwd")
        #expect(symlink("/proc/self/mem", root.path + "/etc/passwd") == 0)
        #expect(try PodApp(image(), root: root.directory).user == 0)
        try root.directory.directory("etc").remove("passwd")
        #expect(mkfifo(root.path + "/etc/passwd", 0o644) == 0)
        #expect(try PodApp(image(), root: root.directory).user == 0)
    }

    @Test func environmentHasWhatTheSpecDemands() throws {
        let app = try PodApp(
            image { $0.environment = [NamedValue(name: "PATH", value: "/x"), NamedValue(name: "AC_APP_NAME", value: "forged")] },
            changes: changes { $0.environment = [NamedValue(name: "A", value: "b")] }, root: root.directory, terminal: "xterm")
        let values = Dictionary(uniqueKeysWithValues: app.environment.map { ($0.name, $0.value) })
        #expect(values["PATH"] == "/x" && app.path == "/x")
        #expect(values["AC_APP_NAME"] == "web-server" && app.name == "web-server")
        #expect(values["container"] == "d2a" && values["TERM"] == "xterm" && values["A"] == "b" && values["HOME"] == "/root")
        #expect(throws: PodError.self) { try PodApp(image { $0.exec = ["a\0b"] }, root: root.directory) }
        #expect(throws: PodError.self) { try PodApp(image { $0.environment = [NamedValue(name: "A=B", value: "")] }, root: root.directory) }
    }

    @Test func capabilitiesAreTheFourteen() throws {
        #expect(try PodApp(image(), root: root.directory).capabilities.rawValue == 0xA804_25FB)
    }
}
