import AppC
import Digest
import Foundation
import Image
import Reference
import Testing

@testable import Conversion

/// Configurations in the shape of well-known images, and the manifests that become of them, compared whole. Each file of
/// `testdata/manifests` has the reference, the configuration, and `manifest` and `notes`, or `error`. D2A_WRITE_GOLDEN=1 writes
/// what is made now; read the difference before it is committed.
@Suite struct GoldenTests {
    private static let directory =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path + "/testdata/manifests"
    private static let names = (try! FileManager.default.contentsOfDirectory(atPath: directory)).sorted()

    @Test(arguments: names) func manifest(_ name: String) throws {
        let path = Self.directory + "/" + name
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        guard case .object(var golden) = try CanonicalJSON.decode(JSONValue.self, from: bytes) else {
            Issue.record("\(name) is not an object")
            return
        }
        var made: [String: JSONValue] = ["reference": golden["reference"]!, "config": golden["config"]!]
        do {
            let (manifest, notes) = try Self.convert(golden["reference"]!.string!, CanonicalJSON.encode(golden["config"]!))
            made["manifest"] = try CanonicalJSON.decode(JSONValue.self, from: manifest)
            made["notes"] = .array(notes.map { .string("\($0.outcome): \($0.field): \($0.detail)") })
            // What we write, we read.
            let read = try ManifestReader.image(manifest)
            #expect(read.unknown == [])
            #expect(try ManifestReader.bytes(read.manifest) == manifest)
        } catch let error as ConversionError { made["error"] = .string(error.diagnosis.lines(program: "docker2aci")) }
        if ProcessInfo.processInfo.environment["D2A_WRITE_GOLDEN"] != nil {
            try (CanonicalJSON.text(JSONValue.object(made), pretty: true) + "\n").write(toFile: path, atomically: true, encoding: .utf8)
            golden = made
        }
        #expect(try CanonicalJSON.text(JSONValue.object(made), pretty: true) == CanonicalJSON.text(JSONValue.object(golden), pretty: true))
    }

    @Test func thereAreEnough() { #expect(Self.names.count >= 60) }

    private static func convert(_ text: String, _ config: [UInt8]) throws -> (manifest: [UInt8], notes: [ConversionNote]) {
        let reference = try ImageReference(text)
        let name = ImageName(registry: reference.registry, repository: reference.repository, tag: reference.tag, original: reference.original)
        let digest = Digest("sha256:" + String(repeating: "c", count: 64))!
        let image = SourceImage(name: name, config: config, id: digest.description, manifestDigest: nil, layers: [])
        let parsed = try DockerConfig(config)
        try Converter.checkSystem(parsed)
        var generator = ManifestGenerator(image: image, config: parsed) { $0 == "app" ? "1234" : nil }
        return (try ManifestReader.bytes(generator.manifest()), generator.notes)
    }
}
