import ACI
import AppC
import Archive
import Digest
import Files
import Glibc
import Image
import Location
import Manifests
import Reference
import SavedImage
import TestSupport

@testable import Conversion
@testable import Registries
@testable import Registry
@testable import Squash

/// Everything that reads strangers' bytes, as functions of bytes. Whatever they are, a target returns: an error is an answer, a trap or
/// a broken promise is not. `make fuzz` lets libFuzzer look for what breaks them; `Tests/Seeds` keeps what they begin with, and what
/// once broke them.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case tar, compressed, aci, squash
    case imageManifest, podManifest, dockerConfig, ociManifest, schemaOne
    case reference, location, challenge, registries
    case savedImage

    /// A promise that doesn't hold.
    struct Broken: Error { var promise: String }

    public func run(_ bytes: [UInt8]) {
        do {
            switch self {
            case .tar: try Self.tar(bytes)
            case .compressed: try drain(Decompressor.open(Bytes(bytes)))
            case .aci: _ = try ACIFile.validate(Bytes(bytes))
            case .squash: try Self.squash(bytes)
            case .imageManifest: try Self.imageManifest(bytes)
            case .podManifest: _ = try ManifestReader.pod(bytes)
            case .dockerConfig: try Self.dockerConfig(bytes)
            case .ociManifest:
                _ = try ResolvedImage(bytes, name: "image", platform: .current, manifest: { _ in bytes }, config: { _, _ in bytes })
            case .schemaOne:
                let reference = try ImageReference("example.com/image")
                _ = try SchemaOne(SchemaOne.payload(bytes, reference) ?? bytes, reference)
            case .reference: try Self.reference(bytes)
            case .location: _ = try ImageLocation(String(decoding: bytes, as: UTF8.self), opened: OpenFile.open("/dev/null"))
            case .challenge: _ = Challenge.parse(String(decoding: bytes, as: UTF8.self))
            case .registries: try Self.registries(bytes)
            case .savedImage: try Self.savedImage(bytes)
            }
        } catch let broken as Broken {
            fatalError("\(self): \(broken.promise)")
        } catch {
            // What an error says is for people's terminals: making the words must not fail either.
            _ = "\(error)"
        }
    }

    /// What was read can be written, and reads the same then.
    private static func tar(_ bytes: [UInt8]) throws {
        let reader = try TarReader(Bytes(bytes))
        let sink = Bytes()
        let writer = TarWriter(sink)
        var entries: [TarEntry] = []
        var total: Int64 = 0
        while var entry = try reader.next() {
            total += entry.size
            guard total < 8 << 20 else { return }
            let content = Bytes()
            try reader.data { content.write($0) }
            // Links carry no data of their own.
            entry.size = entry.kind == .file ? Int64(content.bytes.count) : 0
            guard !entry.path.isEmpty else { continue }
            try writer.header(entry)
            if entry.size > 0 { try content.bytes.withUnsafeBytes { try writer.data($0) } }
            entries.append(entry)
        }
        try writer.finish()
        let again = try TarReader(Bytes(sink.bytes))
        for entry in entries {
            guard let read = try again.next() else { throw Broken(promise: "an entry that was written isn't read") }
            guard read.path == entry.path, read.size == entry.size, read.kind == entry.kind, read.linkTarget == entry.linkTarget else {
                throw Broken(promise: "\(entry) was written, \(read) is read")
            }
        }
    }

    /// Two layers, cut where the input says; no name leads out of the tree, and none is there twice.
    private static func squash(_ bytes: [UInt8]) throws {
        guard let first = bytes.first else { return }
        let cut = min(bytes.count - 1, Int(first) * 512)
        let layers = Layers(tars: [Array(bytes[1..<1 + cut]), Array(bytes[(1 + cut)...])])
        var squasher = Squasher(layers, limits: Limits(size: 64 << 20, entries: 10_000, ratio: 100))
        try squasher.plan()
        var seen: Set<[UInt8]> = []
        try squasher.write { entry, reader, _ in
            try reader?.data { _ in }
            guard seen.insert(entry.path).inserted else { throw Broken(promise: "\(entry) is there twice") }
            let parts = entry.path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            guard !parts.contains(where: { $0.elementsEqual("..".utf8) }), entry.path.first != UInt8(ascii: "/") else {
                throw Broken(promise: "\(entry) leads out")
            }
            if entry.kind == .hardLink, !seen.contains(entry.linkTarget) { throw Broken(promise: "\(entry) stands before its target") }
        }
    }

    private struct Layers: LayerProvider {
        var tars: [[UInt8]]
        var layerCount: Int { tars.count }
        func servedSize(_ layer: Int) -> Int { tars[layer].count }
        func open(_ layer: Int, checked: Bool) -> any ByteSource { Bytes(tars[layer]) }
    }

    /// What is taken is written canonically, and stays itself from then on.
    private static func imageManifest(_ bytes: [UInt8]) throws {
        let manifest = try ManifestReader.image(bytes).manifest
        guard let written = try? ManifestReader.bytes(manifest), let again = try? ManifestReader.image(written).manifest else {
            throw Broken(promise: "a manifest that was taken can't be written")
        }
        guard again == manifest, try ManifestReader.bytes(again) == written else { throw Broken(promise: "a manifest changes when it is written and read") }
    }

    /// Whatever Docker wrote, the manifest that is made of it is valid.
    private static func dockerConfig(_ bytes: [UInt8]) throws {
        let config = try DockerConfig(bytes)
        try Converter.checkSystem(config)
        let name = ImageName(registry: "example.com", repository: "image", tag: "latest", original: "example.com/image")
        let image = SourceImage(name: name, config: bytes, id: "sha256:" + String(repeating: "c", count: 64), manifestDigest: nil, layers: [])
        var generator = ManifestGenerator(image: image, config: config) { _ in nil }
        let manifest = try generator.manifest()
        do { _ = try ManifestReader.bytes(manifest) } catch { throw Broken(promise: "the manifest that was made is refused: \(error)") }
    }

    /// A name that was understood, written in full, means the same.
    private static func reference(_ bytes: [UInt8]) throws {
        let reference = try ImageReference(String(decoding: bytes, as: UTF8.self))
        guard let again = try? ImageReference(reference.description), again.registry == reference.registry, again.repository == reference.repository,
            again.tag == reference.tag, again.digest == reference.digest
        else { throw Broken(promise: "\(reference) means something else when it is written in full") }
    }

    /// Whatever a file says, an image has a place, or a reason why not; the last place is no mirror.
    private static func registries(_ bytes: [UInt8]) throws {
        var configuration = RegistriesConfiguration()
        try configuration.add(path: "registries.conf", text: bytes)
        for name in ["busybox", "registry.example/a/b:1", "sub.example:5000/c@sha256:" + String(repeating: "d", count: 64)] {
            guard let places = try? configuration.places(for: ImageReference(name)) else { continue }
            guard places.last?.isMirror == false, places.dropLast().allSatisfy(\.isMirror) else { throw Broken(promise: "mirrors first, then the registry") }
            for place in places { _ = try ImageReference(place.reference.description) }
        }
    }

    private static func savedImage(_ bytes: [UInt8]) throws {
        let scratch = try Directory.open("/tmp")
        let file = try scratch.unnamedFile()
        try bytes.withUnsafeBytes { try file.write($0) }
        try file.seek(to: 0)
        let source = try SavedImage.open(file, path: "archive", image: nil, platform: .current, scratch: scratch)
        for layer in try source.image().layers.indices { _ = try source.blob(layer) }
    }

    private func drain(_ source: any ByteSource) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
        defer { buffer.deallocate() }
        var total = 0
        while case let count = try source.read(into: buffer), count > 0, total < 16 << 20 { total += count }
    }
}
