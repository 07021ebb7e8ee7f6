import Testing

@testable import AppC

@Suite struct IdentifierTests {
    @Test(arguments: [("127.0.0.1:5000/Lib/Busybox", "127.0.0.1_5000/lib/busybox"), ("_a_", "a"), ("ä-b", "b"), ("x.y~z", "x.y~z")])
    func identifiers(text: String, expected: String) {
        #expect(ACIdentifier.sanitized(text) == expected)
        #expect(ACIdentifier.isValid(expected))
    }

    @Test(arguments: [("/var/lib/Data", "var-lib-data"), ("80/tcp", "80-tcp"), ("a_b", "a-b")])
    func names(text: String, expected: String) {
        #expect(ACName.sanitized(text) == expected)
        #expect(ACName.isValid(expected))
    }

    @Test func nothingLeft() {
        #expect(ACIdentifier.sanitized("///") == nil)
        #expect(ACName.sanitized("…") == nil)
        #expect(!ACName.isValid(""))
        #expect(!ACName.isValid("a.b"))
    }
}

@Suite struct ManifestTests {
    @Test func bytesAreCanonical() throws {
        var manifest = ImageManifest(name: "a/b")
        manifest.labels = [NamedValue(name: "os", value: "linux")]
        var app = App()
        app.exec = ["/bin/sh", "-c", "a/b"]
        app.userLabels = ["z": "1", "a": "é\u{1}"]
        manifest.app = app
        let text = try CanonicalJSON.text(manifest)
        #expect(
            text == #"{"acKind":"ImageManifest","acVersion":"0.8.11","app":{"exec":["/bin/sh","-c","a/b"],"group":"0","user":"0","#
                + #""userLabels":{"a":"é\u0001","z":"1"}},"labels":[{"name":"os","value":"linux"}],"name":"a/b"}"#)
        #expect(try CanonicalJSON.decode(ImageManifest.self, from: Array(text.utf8)) == manifest)
    }

    @Test func anyJSONIsKept() throws {
        let text = #"{"a":[1,-2,18446744073709551615,1.5,true,null,"x"],"b":{}}"#
        #expect(try CanonicalJSON.text(CanonicalJSON.decode(JSONValue.self, from: Array(text.utf8))) == text)
    }

    @Test(arguments: [
        ("linux", "amd64", nil, "amd64"), ("linux", "arm64", "v8", "aarch64"), ("linux", "arm", "v7", "armv7l"), ("linux", "arm", nil, "armv6l"),
        ("linux", "mips", nil, nil),
    ])
    func architectures(os: String, architecture: String, variant: String?, expected: String?) {
        #expect(Architecture.appc(os: os, architecture: architecture, variant: variant) == expected)
    }
}

@Suite struct ManifestReaderTests {
    private static func text(_ app: String = "", _ rest: String = "") -> [UInt8] {
        let app = app.isEmpty ? "" : #","app":{"user":"0","group":"0",\#(app)}"#
        return Array(#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/a"\#(app)\#(rest)}"#.utf8)
    }

    private func problems(_ bytes: [UInt8], pod: Bool = false) -> [String] {
        do {
            _ = try pod ? ManifestReader.pod(bytes).unknown : ManifestReader.image(bytes).unknown
            return []
        } catch ManifestError.invalid(let problems) { return problems.map { "\($0.path) \($0.reason)" } } catch { return ["\(error)"] }
    }

    @Test func everyPartOfTheSpecIsRead() throws {
        let bytes = Self.text(
            #"""
            "exec":["/bin/a"],"supplementaryGIDs":[5],"workingDirectory":"/w","environment":[{"name":"A_1","value":""}],
            "mountPoints":[{"name":"data","path":"/d","readOnly":true}],"eventHandlers":[{"name":"pre-start","exec":["/p"]}],
            "ports":[{"name":"web","protocol":"tcp","port":65535,"count":1,"socketActivated":false}],"userLabels":{"X.Y":"z"},"userAnnotations":{"a":"b"},
            "isolators":[{"name":"resource/cpu","value":{"request":"250m","limit":"0.5"}},{"name":"resource/memory","value":{"limit":"1.5Gi"}},
             {"name":"resource/block-iops","value":{"default":true,"limit":"1e3"}},{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}},
             {"name":"os/linux/seccomp-remove-set","value":{"errno":"ENOSYS","set":["clock_adjtime"]}},{"name":"os/linux/no-new-privileges","value":true},
             {"name":"os/linux/oom-score-adj","value":-1000},{"name":"os/linux/cpu-shares","value":2},{"name":"os/unix/sysctl","value":{"a":"1"}}]
            """#,
            #"""
            ,"labels":[{"name":"os","value":"linux"},{"name":"arch","value":"aarch64_be"},{"name":"version","value":"1"}],
            "annotations":[{"name":"created","value":"2014-10-27T19:32:27.67021798+01:00"},{"name":"homepage","value":"https://example.com"}],
            "dependencies":[{"imageName":"example.com/base","imageID":"sha512-ab","labels":[],"size":18446744073709551}],"pathWhitelist":["/etc/passwd"]
            """#)
        let (manifest, unknown) = try ManifestReader.image(bytes)
        #expect(unknown == [])
        // Nothing is lost on the way through.
        let original = try CanonicalJSON.decode(JSONValue.self, from: bytes)
        #expect(try CanonicalJSON.decode(JSONValue.self, from: ManifestReader.bytes(manifest)) == original)
    }

    @Test(arguments: [
        (#"{}"#, "$ has no acKind; $ has no acVersion; $ has no name"),
        (
            #"{"acKind":"PodManifest","acVersion":"8","name":"a"}"#,
            #"$.acKind is "PodManifest", not ImageManifest; $.acVersion "8" is not a version such as 0.8.11"#
        ),
        (#"{"acKind":"ImageManifest","acVersion":"0.8.11-rc.1+b","name":"A b"}"#, #"$.name "A b" is not an AC Identifier"#),
    ])
    func heads(_ text: String, _ expected: String) { #expect(problems(Array(text.utf8)).joined(separator: "; ") == expected) }

    @Test(arguments: [
        (#""exec":"/a""#, "$.app.exec is not a list"), (#""exec":[1]"#, "$.app.exec[0] is not a string"),
        (#""workingDirectory":"w""#, #"$.app.workingDirectory "w" is not an absolute path"#),
        (#""environment":[{"name":"a.b","value":""}]"#, #"$.app.environment[0].name "a.b" is not letters, digits and _"#),
        (#""environment":[{"name":"A","value":""},{"name":"A","value":"x"}]"#, #"$.app.environment[1].name "A" is there twice"#),
        (
            #""mountPoints":[{"name":"A","path":"d"}]"#,
            #"$.app.mountPoints[0].name "A" is not an AC Name; $.app.mountPoints[0].path "d" is not an absolute path"#
        ),
        (#""ports":[{"name":"a","protocol":"tcp","port":0}]"#, "$.app.ports[0].port is not a whole number from 1 to 65535"),
        (#""ports":[{"name":"a","protocol":"tcp","port":65535,"count":2}]"#, "$.app.ports[0].count leads beyond port 65535"),
        (#""eventHandlers":[{"name":"on-fire","exec":[]}]"#, #"$.app.eventHandlers[0].name "on-fire" is neither pre-start nor post-stop"#),
        (#""isolators":[{"name":"resource/memory","value":{"limit":"much"}}]"#, #"$.app.isolators[0].value.limit "much" is not an amount such as 500m or 1G"#),
        (#""isolators":[{"name":"resource/block-iops","value":{"limit":"1"}}]"#, "$.app.isolators[0].value must have default: true"),
        (#""isolators":[{"name":"os/linux/cpu-shares","value":1}]"#, "$.app.isolators[0].value is not a whole number from 2 to 262144"),
        (#""isolators":[{"name":"os/linux/capabilities-retain-set","value":{"set":[]}}]"#, "$.app.isolators[0].value.set is empty"),
        (#""userLabels":{"a":1}"#, "$.app.userLabels.a is not a string"),
    ])
    func apps(_ app: String, _ expected: String) { #expect(problems(Self.text(app)).joined(separator: "; ") == expected) }

    @Test(arguments: [
        (#","labels":[{"name":"os","value":"plan9"}]"#, #"$.labels has the os "plan9", which is none of darwin, freebsd, linux"#),
        (
            #","labels":[{"name":"os","value":"freebsd"},{"name":"arch","value":"s390x"}]"#,
            #"$.labels has the arch "s390x", which for freebsd is none of amd64, i386, arm"#
        ),
        (#","labels":[{"name":"name","value":"x"}]"#, #"$.labels[0].name is "name", which no label may have"#),
        (#","annotations":[{"name":"created","value":"yesterday"}]"#, #"$.annotations[0].value "yesterday" is not a time by RFC 3339"#),
        (#","dependencies":[{"imageName":"a","imageID":"md5-1"}]"#, #"$.dependencies[0].imageID "md5-1" is not an image ID"#),
        (#","pathWhitelist":["etc"]"#, #"$.pathWhitelist[0] "etc" is not an absolute path"#), (#","app":{}"#, "$.app has no user; $.app has no group"),
    ])
    func images(_ rest: String, _ expected: String) { #expect(problems(Self.text("", rest)).joined(separator: "; ") == expected) }

    @Test func podsAreChecked() {
        func pod(_ rest: String) -> String {
            problems(Array(#"{"acKind":"PodManifest","acVersion":"0.8.11",\#(rest)}"#.utf8), pod: true).joined(separator: "; ")
        }
        #expect(
            pod(
                #""apps":[{"name":"a","image":{"id":"sha512-ab"},"mounts":[{"volume":"v","path":"/p"}],"readOnlyRootFS":true}],"volumes":[{"name":"v","kind":"host","source":"/s","readOnly":false},{"name":"e","kind":"empty","mode":"1777","uid":0}],"ports":[{"name":"p","hostPort":80}]"#
            ) == "")
        #expect(pod(#""apps":[{"name":"a","image":{}},{"name":"a","image":{}}]"#) == #"$.apps[1].name "a" is there twice"#)
        #expect(pod(#""volumes":[{"name":"v","kind":"host"}]"#) == "$.volumes[0] has no source")
        #expect(pod(#""volumes":[{"name":"v","kind":"empty","mode":"99"}]"#) == #"$.volumes[0].mode "99" is not an octal mode"#)
        #expect(pod(#""ports":[{"name":"p","hostPort":70000}]"#) == "$.ports[0].hostPort is not a whole number from 1 to 65535")
    }

    /// In the shape of December 2014.
    @Test func theFirstVersionIsRead() throws {
        let (manifest, unknown) = try ManifestReader.image(
            Array(
                #"""
                {"acKind":"ImageManifest","acVersion":"0.1.1","name":"example.com/etcd","labels":[{"name":"version","val":"v0.5.0"},{"name":"os","val":"linux"}],
                 "app":{"exec":["/etcd"],"user":"0","group":"0","environment":{"B":"2","A":"1"},
                  "isolators":[{"name":"memory/limit","val":"1G"},{"name":"cpu/shares","val":"20"},{"name":"private-network","val":"true"},
                   {"name":"capabilities/bounding-set","val":"CAP_KILL CAP_CHOWN"}]},
                 "dependencies":[{"name":"example.com/base","hash":"sha256-ab","labels":[{"name":"os","val":"linux"}]}],
                 "annotations":{"documentation":"https://example.com/doc"}}
                """#.utf8))
        #expect(manifest.acVersion == "0.8.11" && manifest.label("version") == "v0.5.0")
        #expect(manifest.app?.environment == [NamedValue(name: "A", value: "1"), NamedValue(name: "B", value: "2")])
        #expect(manifest.annotation("documentation") == "https://example.com/doc")
        #expect(manifest.dependencies?.first?.imageName == "example.com/base" && manifest.dependencies?.first?.imageID == "sha256-ab")
        #expect(
            try CanonicalJSON.text(manifest.app!.isolators!)
                == #"[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"os/linux/cpu-shares","value":20},{"name":"private-network","value":"true"},{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL","CAP_CHOWN"]}}]"#
        )
        #expect(unknown == ["$.app.isolators[2] (private-network)"])
    }

    @Test func whatIsUnknownIsTold() throws {
        let (_, unknown) = try ManifestReader.image(Self.text(#""exec":[],"color":"red""#, #","extra":{"a":1}"#))
        #expect(unknown == ["$.extra", "$.app.color"])
        #expect(throws: ManifestError.notJSON) { try ManifestReader.image(Array("[]".utf8)) }
    }

    @Test func largeManifestsAreFine() throws {
        var app = App()
        app.environment = (0..<10_000).map { NamedValue(name: "V\($0)", value: "x") }
        app.userLabels = ["large": String(repeating: "y", count: 1 << 20)]
        var manifest = ImageManifest(name: "a")
        manifest.app = app
        #expect(try ManifestReader.image(ManifestReader.bytes(manifest)).manifest == manifest)
    }
}
