import AppC
import Configuration
import Foundation
import Location
import Reference
import Testing
import Trust

@testable import Discovery

@Suite struct FetchingTests {
    @Test func appNames() throws {
        let name = try AppName("example.com/app:1.0.0,os=linux,arch=amd64")
        #expect(name.name == "example.com/app" && name.label("version") == "1.0.0" && name.label("arch") == "amd64")
        #expect(name.description == "example.com/app:1.0.0,os=linux,arch=amd64")
        for bad in ["Example.com/app", "a:1:2", "a,os", "a:1,version=2", "a,name=b", "a,os="] { #expect(throws: AppNameError.self) { try AppName(bad) } }
    }

    @Test func argumentsAreToldApart() throws {
        func kind(_ text: String) throws -> String {
            switch try ImageArgument(text) {
            case .stored: "stored"
            case .web: "web"
            case .appc: "appc"
            case .either: "either"
            case .place(.registry): "registry"
            case .place: "place"
            }
        }
        let expected = [
            "sha512-1e9d": "stored", "sha256-66": "stored", "https://a.b/c.aci": "web", "appc:example.com/app": "appc", "example.com/app,os=linux": "appc",
            "example.com/app:1.0.0": "either", "quay.io/coreos/etcd:v3.4": "either", "docker://quay.io/coreos/etcd": "registry", "busybox": "registry",
            "user/app": "registry", "localhost:5000/a": "registry", "a.b:5000/c": "registry", "file:///x.aci": "place", "oci:x": "place",
        ]
        for (text, wanted) in expected { #expect(try kind(text) == wanted, "\(text)") }
    }

    @Test func pagesAndTemplates() throws {
        #expect(Discovery.pages(of: "a.b/c/d") == ["a.b/c/d", "a.b/c", "a.b"])
        let page = """
            <!DOCTYPE html><html><head><title>x<META name=ac-discovery content="a.b/c https://s.a.b/{os}/{name}-{version}.{ext}">
            <meta name='ac-discovery' content='a.b ftp://x/{unknown}.{ext}'><meta name="ac-discovery" content="z.z https://z/{ext}">
            <!-- <meta name="ac-discovery" content="a.b https://comment/{ext}"> --></head><body><p>unclosed
            <meta name="ac-discovery-pubkeys" content="a.b https://a.b/&#112;ubkeys.gpg">
            """
        let found = Discovery.read(Array(page.utf8), for: try AppName("a.b/c,os=linux"))
        #expect(found.endpoints == [.init(image: "https://s.a.b/linux/a.b/c-latest.aci", signature: "https://s.a.b/linux/a.b/c-latest.aci.asc")])
        #expect(found.keys == ["https://a.b/pubkeys.gpg"])
        #expect(Discovery.read([], for: try AppName("a.b/c")).endpoints.isEmpty)
        #expect(MetaTag.all(inPage: Array(repeating: Array("<div>".utf8), count: 100_000).flatMap(\.self)).isEmpty)
    }

    @Test func keysAndMasks() throws {
        let root = NSTemporaryDirectory() + "/d2a-keys-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: root) }
        func write(_ path: String, _ text: String) throws {
            let url = URL(fileURLWithPath: "\(root)/\(path)")
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: url, atomically: true, encoding: .utf8)
        }
        let (a, b, c) = (String(repeating: "a", count: 40), String(repeating: "b", count: 40), String(repeating: "c", count: 40))
        try write("usr/trustedkeys/root.d/\(a)", "key")
        try write("usr/trustedkeys/prefix.d/x.y/app/\(b)", "key")
        try write("usr/trustedkeys/prefix.d/x.y/\(c)", "key")
        try write("etc/trustedkeys/prefix.d/x.y/\(a)", "")
        try write("etc/trustedkeys/prefix.d/x.y/notakey", "key")
        let store = KeyStore(directories: ["\(root)/usr", "\(root)/etc"])
        #expect(store.keys(for: "z.z").map(\.fingerprint) == [a])
        // An empty file masks a root key from a prefix; whole components only.
        #expect(store.keys(for: "x.y/app/part").map(\.fingerprint) == [b, c])
        #expect(store.keys(for: "x.y/apple").map(\.fingerprint) == [c])
        #expect(store.hasPrefixKeys(for: "x.y/app") && !store.hasPrefixKeys(for: "z.z"))
        #expect(try store.add(Array("key".utf8), fingerprint: a, prefix: "n.n") == "\(root)/etc/trustedkeys/prefix.d/n.n/\(a)")
    }

    @Test func signatureStatus() {
        let fingerprint = String(repeating: "A", count: 40)
        let valid = "[GNUPG:] VALIDSIG \(fingerprint) 2026-01-01 1 0 4 0 22 8 00 \(fingerprint)\n"
        let good = SignatureStatus("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AAAA Test <t@x>\n" + valid)
        #expect(good.signers == [fingerprint.lowercased()] && good.identities == ["Test <t@x>"])
        #expect(SignatureStatus("[GNUPG:] EXPKEYSIG AAAA Test\n" + valid).signers == [])
        #expect(SignatureStatus("[GNUPG:] REVKEYSIG AAAA Test\n" + valid).signers == [])
        #expect(SignatureStatus("[GNUPG:] BADSIG AAAA Test\n").isBad)
        #expect(SignatureStatus("[GNUPG:] ERRSIG X\n[GNUPG:] NO_PUBKEY BBBB\n").unknown == ["BBBB"])
    }

    @Test func configurationIsMerged() throws {
        let root = NSTemporaryDirectory() + "/d2a-config-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: root) }
        func write(_ path: String, _ text: String) throws {
            let url = URL(fileURLWithPath: "\(root)/\(path)")
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try text.write(to: url, atomically: true, encoding: .utf8)
        }
        try write("usr/paths.d/a.json", #"{"rktKind":"paths","rktVersion":"v1","data":"/usr/data","stage1-images":"/s"}"#)
        try write("etc/paths.d/a.json", #"{"rktKind":"paths","rktVersion":"v1","data":"/etc/data"}"#)
        for (place, user) in [("usr", "old"), ("etc", "new")] {
            try write("\(place)/auth.d/a.json", #"{"rktKind":"dockerAuth","registries":["quay.io"],"credentials":{"user":"\#(user)"}}"#)
        }
        let files = ConfigurationFiles(directories: ["\(root)/usr", "\(root)/etc"])
        #expect(try files.dataDirectory() == "/etc/data")
        guard case .array(let entries)? = try files.merged()["stage0"] else { return #expect(Bool(false)) }
        #expect(entries.count == 2 && entries[0]["credentials"]?["user"]?.string == "new" && entries[1]["stage1-images"]?.string == "/s")
        try write("etc/paths.d/b.json", #"{"rktKind":"auth"}"#)
        #expect(throws: ConfigurationError.self) { try files.dataDirectory() }
    }
}
