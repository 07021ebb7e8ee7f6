import AppC
import Archive
import ArgumentParser
import CLinux
import Compare
import Engine
import Conversion
import Files
import Glibc
import Hashing
import Image
import Observation
import Sandbox

/// Tells what an image is before it is converted, and hands it on to programs that are not ours, for comparisons. Descriptors: 3 the
/// file for an archive, 4 the report, then as ``HelperSource`` says.
struct OriginalHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "original")

    @OptionGroup var from: HelperSource
    @Flag(help: "Write an archive as docker save does, for an engine.") var archive = false
    @Option(help: "What the image is called in the archive.") var name: String?
    @Flag(help: "Make an OCI layout in the directory.") var layout = false
    @Flag(help: "Tell what in the layers tools disagree on.") var facts = false

    func run() throws {
        let opened = try from.enter(writing: [3])
        let progress = ProgressDisplay(from.source.progress, quiet: from.quiet)
        defer { progress.finish() }
        let source = try from.open(opened, progress)
        let image = try source.image()
        let plan = try Converter(source).plan()
        var original = OriginalImage(
            id: image.id, config: String(decoding: image.config, as: UTF8.self), layers: image.layers.map { .init(name: $0.label, size: $0.size) },
            notes: plan.result.notes.map { .init(outcome: $0.outcome.rawValue, field: $0.field, detail: $0.detail) },
            manifest: String(decoding: plan.result.manifestBytes, as: UTF8.self), knowsUser: plan.knowsUser)
        if facts { original.facts = try LayerFactsReader.read(source) }
        try OpenFile(descriptor: 4, path: "d2a").write(CanonicalJSON.text(original))
        if archive {
            try ForeignImage(source).writeArchive(FileSink(OpenFile(descriptor: 3, path: "an archive")), name: name ?? "\(EngineLeftover.imageName):latest")
        }
        if layout { try ForeignImage(source).writeLayout(opened.scratch.make("layout"), name: "latest") }
    }
}

/// Writes an image in forms that other programs read. Layers are copied as they are.
struct ForeignImage {
    private let source: any ImageSource
    private let image: SourceImage

    init(_ source: any ImageSource) throws { (self.source, image) = (source, try source.image()) }

    private struct Item: Encodable {
        var Config: String
        var RepoTags: [String]
        var Layers: [String]
    }

    /// As `docker save` does.
    func writeArchive(_ sink: any ByteSink, name: String) throws {
        let tar = TarWriter(sink)
        func add(_ path: String, _ size: Int, _ write: (TarWriter) throws -> Void) throws {
            var entry = TarEntry(path: Array(path.utf8), kind: .file, mode: 0o644)
            entry.size = Int64(size)
            try tar.header(entry)
            if size > 0 { try write(tar) }
        }
        let config = StreamHasher.digest(image.config).hex + ".json"
        try add(config, image.config.count) { tar in try image.config.withUnsafeBytes { try tar.data($0) } }
        let names = image.layers.indices.map { "\($0)/layer.tar" }
        for (index, name) in names.enumerated() {
            let blob = try source.blob(index)
            try add(name, blob.length) { tar in try FileRegion(blob.file, offset: blob.offset, length: blob.length).pass { try tar.data($0) } }
        }
        let manifest = try CanonicalJSON.encode([Item(Config: config, RepoTags: [name], Layers: names)])
        try add("manifest.json", manifest.count) { tar in try manifest.withUnsafeBytes { try tar.data($0) } }
        try tar.finish()
    }

    private struct Descriptor: Encodable {
        var mediaType: String
        var digest: String
        var size: Int
        var annotations: [String: String]?
    }

    private struct Manifest: Encodable {
        var schemaVersion = 2
        var config: Descriptor
        var layers: [Descriptor]
    }

    private struct Index: Encodable {
        var schemaVersion = 2
        var manifests: [Descriptor]
    }

    /// As an OCI layout (OCI image-spec `image-layout.md`), with layers uncompressed: not every tool knows every codec.
    func writeLayout(_ directory: Directory, name: String) throws {
        let blobs = try directory.make("blobs/sha256")
        let type = "application/vnd.oci.image."
        func add(_ bytes: [UInt8], _ mediaType: String) throws -> Descriptor {
            let digest = StreamHasher.digest(bytes)
            try blobs.write(bytes, atomicallyTo: digest.hex, durably: false)
            return Descriptor(mediaType: type + mediaType, digest: digest.description, size: bytes.count)
        }
        let layers = try image.layers.indices.map { index in
            let blob = try source.blob(index)
            let file = try blobs.file("layer", O_RDWR | O_CREAT | O_TRUNC)
            let (sink, hasher) = (FileSink(file), StreamHasher(.sha256))
            var size = 0
            try Decompressor.open(FileRegion(blob.file, offset: blob.offset, length: blob.length)).pass {
                hasher.update($0)
                size += $0.count
                try sink.write($0)
            }
            try sink.finish()
            let digest = hasher.finish()
            try blobs.rename("layer", to: blobs, as: digest.hex)
            return Descriptor(mediaType: type + "layer.v1.tar", digest: digest.description, size: size)
        }
        let manifest = Manifest(config: try add(image.config, "config.v1+json"), layers: layers)
        var entry = try add(CanonicalJSON.encode(manifest), "manifest.v1+json")
        entry.annotations = ["org.opencontainers.image.ref.name": name]
        try directory.write(CanonicalJSON.encode(Index(manifests: [entry])), atomicallyTo: "index.json", durably: false)
        try directory.write(Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), atomicallyTo: "oci-layout", durably: false)
    }
}

/// Lets an engine show what it makes of an image: loads it, makes a container of it, exports that, and takes both away again.
/// Descriptors: 3 the file for the tree's archive, 4 the report, 5 the image as docker save writes it.
struct EngineExportHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "engine-export")

    @Option(help: "Where the engine is; $DOCKER_HOST where it isn't said.") var at: String?
    @Option(help: "What the image is called in the archive.") var name: String
    @Option(help: "Whose the container is.") var mark: String

    func run() throws {
        let output = OpenFile(descriptor: 3, path: "an archive")
        let address = Result { () throws(EngineError) in try EngineAddress(at: at) }
        try Sandbox(network: true, capabilities: [CAP_DAC_OVERRIDE]).enter()
        let report = try export(to: output, from: address)
        try OpenFile(descriptor: 4, path: "d2a").write(CanonicalJSON.text(report))
    }

    private func export(to output: OpenFile, from address: Result<EngineAddress, EngineError>) throws -> EngineReport {
        var report = EngineReport()
        do {
            let engine = EngineClient(try address.get())
            do { report.version = try engine.version().version } catch let error as EngineError {
                report.isUnreachable = true
                report.problem = error.description
                return report
            }
            try engine.load(OpenFile(descriptor: 5, path: "an archive"))
            defer { try? engine.removeImage(name) }
            var request = EngineClient.ContainerRequest(image: name)
            // Any: an image need not have one, and it isn't run.
            request.command = ["/d2a"]
            request.labels = [EngineLeftover.label: mark]
            let container = try engine.create(request)
            defer { try? engine.remove(container) }
            try engine.export(container, into: output)
        } catch let error as EngineError { report.problem = error.description }
        return report
    }
}

/// Unpacks an OCI layout with umoci, which sees nothing but that, and has no right but those that unpacking takes. Descriptors: 3 the
/// directory that has it as `layout`, 4 the file for what umoci says.
struct UnpackHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "unpack")

    func run() throws {
        let scratch = Directory(descriptor: 3, path: "the store")
        let places: [String] = (environmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map { "\($0)/umoci" }
        guard let found = places.first(where: { access($0, X_OK) == 0 }), let program = try? OpenFile.open(found) else { throw ExitCode(127) }
        guard fchdir(3) == 0, dup2(4, 1) == 1, dup2(4, 2) == 2 else { throw FileError("enter", scratch.path) }
        try Sandbox(
            writing: [scratch], capabilities: [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP], program: program
        ).enter()
        umask(0o22)
        let arguments: [String] = ["umoci", "unpack", "--image", "layout:latest", "bundle"]
        var words = arguments.map { strdup($0) } + [nil]
        execv(found, &words)
        _exit(126)
    }
}
