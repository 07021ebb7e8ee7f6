import Foundation
import Testing

@testable import Credentials

@Suite struct CredentialsTests {
    private let place = NSTemporaryDirectory() + "/d2a-credentials-" + UUID().uuidString

    private func write(_ text: String, _ path: String, mode: Int = 0o600) throws {
        let file = URL(fileURLWithPath: place + "/" + path)
        try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(to: file, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
    }

    private func find(_ registry: String, _ repository: String = "a/b", _ variables: [String: String] = [:]) throws -> Credential? {
        defer { try? FileManager.default.removeItem(atPath: place) }
        let all = ["HOME": place + "/home"].merging(variables) { $1 }
        return try CredentialFiles(variables: { all[$0] }, directories: ["\(place)/usr/lib/rkt", "\(place)/etc/rkt"]).find(
            registry: registry, repository: repository)
    }

    @Test func dockersFile() throws {
        let file =
            #"{"auths":{"https://index.docker.io/v1/":{"auth":"aHVi"},"r.example:5000":{"username":"u","password":"p"},"t.example":{"auth":"x","identitytoken":"id"}}}"#
        for (registry, expected) in [
            ("registry-1.docker.io", Credential.basic("aHVi")), ("r.example:5000", Credential(user: "u", password: "p")),
            ("t.example", Credential.identityToken("id")), ("r.example", nil),
        ] {
            try write(file, "home/.docker/config.json")
            #expect(try find(registry) == expected)
        }
        #expect(Credential(user: "u", password: "p") == .basic("dTpw"))
    }

    @Test func theLongestNameThatFits() throws {
        try write(#"{"auths":{"r.example":{"auth":"host"},"r.example/a":{"auth":"part"},"r.example/a/bc":{"auth":"other"}}}"#, "auth.json")
        #expect(try find("r.example", "a/b", ["REGISTRY_AUTH_FILE": place + "/auth.json"]) == .basic("part"))
    }

    @Test func theOrderOfFiles() throws {
        func all() throws {
            try write(#"{"auths":{"one":{"auth":"1"}}}"#, "auth.json")
            try write(#"{"auths":{"one":{"auth":"2"},"two":{"auth":"2"}}}"#, "home/.docker/config.json")
            try write(#"{"auths":{"two":{"auth":"3"},"three":{"auth":"3"}}}"#, "run/containers/auth.json")
            try write(#"{"https://three/v1/":{"auth":"4"},"four":{"auth":"4"}}"#, "home/.dockercfg")
            try write(
                #"{"rktKind":"dockerAuth","rktVersion":"v1","registries":["four","five"],"credentials":{"user":"u","password":"p"}}"#, "etc/rkt/auth.d/x.json")
            try write(
                #"{"rktKind":"auth","rktVersion":"v1","domains":["five"],"type":"basic","credentials":{"user":"n","password":"n"}}"#, "etc/rkt/auth.d/a.json")
        }
        let variables = ["REGISTRY_AUTH_FILE": place + "/auth.json", "XDG_RUNTIME_DIR": place + "/run"]
        for (registry, expected) in [("one", "1"), ("two", "2"), ("three", "3"), ("four", "4"), ("five", "dTpw")] {
            try all()
            #expect(try find(registry, "x", variables) == .basic(expected), "\(registry)")
        }
    }

    @Test func helpers() throws {
        let helper =
            "#!/bin/sh\nread server\ncase $server in\n*v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\nr.*) echo '{\"Username\":\"u\",\"Secret\":\"p\"}';;\nbad) echo nonsense;;\n*) echo credentials not found; exit 1;; esac\n"
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        setenv("PATH", "\(place)/bin:\(path)", 1)
        defer { setenv("PATH", path, 1) }
        for (registry, expected) in [
            ("registry-1.docker.io", Credential.identityToken("t")), ("r.example", Credential(user: "u", password: "p")), ("none", nil),
        ] {
            try write(helper, "bin/docker-credential-d2atest", mode: 0o755)
            try write(#"{"credsStore":"d2atest"}"#, "home/.docker/config.json")
            #expect(try find(registry) == expected)
            try write(helper, "bin/docker-credential-d2atest", mode: 0o755)
            try write(#"{"credHelpers":{"r.example":"d2atest","none":"d2atest"}}"#, "home/.docker/config.json")
            #expect(try find(registry) == (registry == "r.example" ? expected : nil))
        }
        try write(helper, "bin/docker-credential-d2atest", mode: 0o755)
        try write(#"{"credHelpers":{"bad":"d2atest"}}"#, "home/.docker/config.json")
        #expect(throws: CredentialError.self) { try find("bad") }
        try write(#"{"credHelpers":{"bad":"d2a-none-such"}}"#, "home/.docker/config.json")
        #expect(throws: CredentialError.self) { try find("bad") }
    }

    @Test func nonsenseIsNamedAndSecretsAreNot() throws {
        try write("{", "home/.docker/config.json")
        #expect(throws: CredentialError.badFile(path: place + "/home/.docker/config.json")) { try find("r") }
        let credential = Credential(user: "user", password: "secret")
        #expect("\(credential)\(String(reflecting: credential))\([credential])" == "a credentiala credential[a credential]")
        var dumped = ""
        dump(credential, to: &dumped)
        #expect(!dumped.contains("dXNl"))
    }
}

@Suite struct ObjectStoreAccessTests {
    private let place = NSTemporaryDirectory() + "/d2a-store-access-" + UUID().uuidString

    private func read(_ variables: [String: String], credentials: String = "", config: String = "") throws -> ObjectStoreAccess {
        try FileManager.default.createDirectory(atPath: place + "/.aws", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: place) }
        for (name, text) in [("credentials", credentials), ("config", config)] where !text.isEmpty {
            try text.write(toFile: "\(place)/.aws/\(name)", atomically: true, encoding: .utf8)
        }
        let all = variables.merging(["HOME": place]) { $1 }
        return try ObjectStoreAccess(variables: { all[$0] })
    }

    @Test func theEnvironmentComesFirst() throws {
        let access = try read(
            ["AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s=/+", "AWS_SESSION_TOKEN": "t", "AWS_DEFAULT_REGION": "eu-west-1"],
            credentials: "[default]\naws_access_key_id = other\naws_secret_access_key = other\n", config: "[default]\nregion = us-west-2\n")
        #expect(access.keyID == "id" && access.secret == "s=/+" && access.sessionToken == "t" && access.region == "eu-west-1")
        #expect(access.endpoint == nil && !access.usesPaths)
    }

    @Test func filesAndProfiles() throws {
        let credentials = "# comment\n[default]\naws_access_key_id=a\naws_secret_access_key=b\n\n[two]\naws_access_key_id = c\naws_secret_access_key = d=e\n"
        let config = "[default]\nregion=eu-north-1\n[profile two]\nregion = ap-south-1\nendpoint_url = https://s3.example\ns3 =\n  addressing_style = virtual\n"
        let first = try read([:], credentials: credentials, config: config)
        #expect(first.keyID == "a" && first.secret == "b" && first.region == "eu-north-1" && first.endpoint == nil)
        let second = try read(["AWS_PROFILE": "two"], credentials: credentials, config: config)
        #expect(second.keyID == "c" && second.secret == "d=e" && second.region == "ap-south-1" && second.endpoint == "https://s3.example")
        #expect(second.usesPaths == false)
        #expect(try read(["AWS_ENDPOINT_URL": "http://127.0.0.1:1"], credentials: credentials).usesPaths)
    }

    @Test func nothingAndNonsense() throws {
        #expect(throws: CredentialError.noObjectStoreKeys(profile: "default")) { try read([:]) }
        #expect(throws: CredentialError.noObjectStoreKeys(profile: "p")) { try read(["AWS_PROFILE": "p"], credentials: "[default]\naws_access_key_id=a\n") }
        #expect(throws: CredentialError.badObjectStoreFile(path: place + "/.aws/credentials")) { try read([:], credentials: "[default]\nnonsense\n") }
    }
}
