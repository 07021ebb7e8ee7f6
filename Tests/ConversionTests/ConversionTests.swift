import AppC
import Digest
import Foundation
import Image
import Testing

@testable import Conversion

private func manifest(_ config: String, name: ImageName? = nil, group: String? = nil) throws -> (ImageManifest, [ConversionNote]) {
    let digest = Digest("sha256:" + String(repeating: "c", count: 64))!
    let name = name ?? ImageName(registry: "127.0.0.1:5000", repository: "library/Web", tag: "v1", original: "docker://127.0.0.1:5000/library/web:v1")
    let image = SourceImage(name: name, config: Array(config.utf8), id: digest.description, manifestDigest: nil, layers: [])
    var generator = ManifestGenerator(image: image, config: try DockerConfig(image.config)) { _ in group }
    return (try generator.manifest(), generator.notes)
}

@Suite struct ManifestGeneratorTests {
    @Test func everyFieldHasItsPlace() throws {
        let (result, notes) = try manifest(
            #"""
            {"architecture":"amd64","os":"linux","created":"2020-01-01T00:00:00Z","author":"me","config":{
             "User":"web","Env":["A=1","B=x=y","A=2"],"Entrypoint":["/run"],"Cmd":["-v"],"WorkingDir":"srv","StopSignal":"SIGINT",
             "Volumes":{"/var/lib/data":{}},"ExposedPorts":{"80/tcp":{},"53/udp":{},"8000-8002":{}},"Labels":{"k":"v"}}}
            """#, group: "33")
        #expect(result.name == "127.0.0.1_5000/library/web")
        #expect(result.label("version") == "v1" && result.label("os") == "linux" && result.label("arch") == "amd64")
        let app = try #require(result.app)
        #expect(app.exec == ["/run", "-v"])
        #expect(app.user == "web" && app.group == "33")
        #expect(app.environment == [NamedValue(name: "A", value: "2"), NamedValue(name: "B", value: "x=y")])
        #expect(app.workingDirectory == "/srv")
        #expect(app.mountPoints == [MountPoint(name: "volume-var-lib-data", path: "/var/lib/data", readOnly: false)])
        #expect(
            app.ports?.map { "\($0.name) \($0.protocol) \($0.port) \($0.count ?? 0)" } == ["53-udp udp 53 1", "80-tcp tcp 80 1", "8000-8002-tcp tcp 8000 3"])
        #expect(app.userLabels == ["k": "v"])
        #expect(result.annotation("appc.io/docker/entrypoint") == #"["/run"]"#)
        #expect(result.annotation("appc.io/docker/cmd") == #"["-v"]"#)
        #expect(result.annotation("d2a.io/docker/stopsignal") == #""SIGINT""#)
        #expect(result.annotation("created") == "2020-01-01T00:00:00Z")
        #expect(notes.map(\.field) == ["WorkingDir", "StopSignal"])
    }

    /// Found by fuzzing: the name was none that appc allows.
    @Test func portsAreDigits() throws {
        let (result, notes) = try manifest(#"{"config":{"ExposedPorts":{"8000-+8010/tcp":{},"+80":{},"81":{}}}}"#)
        #expect(result.app?.ports?.map(\.name) == ["81-tcp"] && notes.map(\.field) == ["ExposedPorts", "ExposedPorts"])
    }

    @Test func shellFormsAndGroups() throws {
        let (result, _) = try manifest(#"{"config":{"Cmd":"echo hi","User":"1000:web"}}"#)
        #expect(result.app?.exec == ["/bin/sh", "-c", "echo hi"])
        #expect(result.app?.user == "1000" && result.app?.group == "web")
        // As Docker's engine has it.
        for (user, known, expected) in [
            ("1234", nil, "1234 0"), ("1234", "7", "1234 7"), ("1234:", "7", "1234 7"), (":5", "7", "0 5"), ("web", nil, "web web"), ("web:0", "7", "web 0"),
            ("", "7", "0 0"),
        ] {
            let app = try manifest(#"{"config":{"User":"\#(user)"}}"#, group: known).0.app
            #expect("\(app?.user ?? "") \(app?.group ?? "")" == expected)
        }
        #expect(result.label("os") == nil)
    }

    @Test func whatCannotBeKeptIsSaid() throws {
        let (result, notes) = try manifest(
            #"{"os":"linux","architecture":"mips","config":{"Env":["novalue"],"ExposedPorts":{"99999/tcp":{}},"Volumes":{"/":{}}}}"#)
        #expect(result.app?.environment == nil && result.app?.ports == nil && result.app?.mountPoints == nil)
        #expect(notes.map(\.outcome) == [.annotation, .dropped, .dropped, .dropped])
    }

    @Test(arguments: ["", "[]", #"{"config":[]}"#, #"{"config":{"User":7}}"#, #"{"config":{"Env":[1]}}"#, #"{"config":{"Cmd":{}}}"#])
    func nonsenseIsRefused(config: String) {
        #expect(throws: ConversionError.self) { try manifest(config) }
    }

    @Test func aNameOfNothingIsRefused() {
        #expect(throws: ConversionError.badName("___")) { try manifest("{}", name: ImageName(registry: nil, repository: "___", tag: nil, original: "")) }
    }
}
