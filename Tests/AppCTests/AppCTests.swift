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
