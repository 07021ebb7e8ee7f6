import ACI
import AppC
import Archive
import ArgumentParser
import CLinux
import Diagnostics
import Files
import Program
import Render
import Sandbox

/// Something is wrong in a file: says which.
private struct InFile: DiagnosedError {
    var path: String
    var error: any DiagnosedError
    var diagnosis: Diagnosis { Diagnosis("\(path): \(error.diagnosis.message)", hint: error.diagnosis.hint) }
}

/// Checks an ACI or a manifest. Descriptors: 3 the file, and 4 the report where that is what becomes of the manifest.
struct ValidateHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "validate")

    @Argument var path: String
    @Flag(help: "Print the manifest and check nothing else.") var manifest = false
    @Flag(help: "Write the manifest to the report.") var report = false
    @Option(help: "What it must be: appimage, manifest, or layout, whose manifest it is; told by its bytes where it isn't given.") var type: String?

    func run() throws {
        try becomeNobody()
        try Sandbox().enter()
        do { try check(OpenFile(descriptor: 3, path: path)) } catch let error as any DiagnosedError { throw InFile(path: path, error: error) }
    }

    private func check(_ file: OpenFile) throws {
        let isJSON = try isText(file)
        if manifest {
            let bytes = try isJSON ? file.readAll(limit: 16 << 20) : ACIFile.manifest(FileSource(file))
            let text = try CanonicalJSON.text(ManifestReader.image(bytes).manifest, pretty: !report)
            if report { try OpenFile(descriptor: 4, path: "d2a").write(text) } else { print(text) }
            return
        }
        if type == "layout" {
            warn(try ManifestReader.image(file.readAll(limit: 16 << 20)).unknown)
            print("\(path): valid image layout")
            return
        }
        if let type, type != (isJSON ? "manifest" : "appimage") { throw ACIError.badLayout("it is \(isJSON ? "a manifest" : "an archive")") }
        let unknown: [String]
        var what = "app container image"
        if isJSON {
            let bytes = try file.readAll(limit: 16 << 20)
            let kind = (try? CanonicalJSON.decode(JSONValue.self, from: bytes))?["acKind"]?.string
            let isPod = kind == "PodManifest" || kind == "ContainerRuntimeManifest"
            what = isPod ? "PodManifest" : "ImageManifest"
            unknown = try isPod ? ManifestReader.pod(bytes).unknown : ManifestReader.image(bytes).unknown
        } else {
            unknown = try ACIFile.validate(FileSource(file)).unknown
        }
        warn(unknown)
        print("\(path): valid \(what)")
    }

    private func warn(_ unknown: [String]) {
        for path in unknown { complain("d2a: warning: the spec has no meaning for \(path)\n") }
    }

    /// A manifest begins with a brace; no archive does.
    private func isText(_ file: OpenFile) throws -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return bytes.prefix(count).first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
    }
}

/// Writes a tree as an ACI. Descriptors: 3 the tree, 4 the manifest, 5 the file to write.
struct ArchiveHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "archive")

    @Option var compression: Compression = .gzip
    @Option(help: "Who is root in the archive.") var first: UInt32 = 0

    func run() throws {
        let (tree, manifest) = (Directory(descriptor: 3, path: "the pod's root"), OpenFile(descriptor: 4, path: "the manifest"))
        try Renderer.confine(to: tree)
        try Sandbox(reading: [tree], capabilities: [CAP_DAC_READ_SEARCH]).enter()
        try TreeArchiver.archive(
            tree, manifest: manifest.readAll(limit: 16 << 20), first: first,
            to: compression.sink(FileSink(OpenFile(descriptor: 5, path: "the output")), level: nil))
    }
}

/// Copies an ACI with another manifest. Descriptors: 3 the ACI, 4 the file to write; the changes are JSON.
struct PatchHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "patch")

    @Argument var changes: String
    @Option var compression: Compression = .gzip

    func run() throws {
        let (input, output) = (OpenFile(descriptor: 3, path: "the image"), OpenFile(descriptor: 4, path: "the output"))
        try becomeNobody()
        try Sandbox().enter()
        let patch = try CanonicalJSON.decode(ManifestPatch.self, from: Array(changes.utf8))
        try ACIFile.patch(FileSource(input), to: compression.sink(FileSink(output), level: nil)) { patch.applied(to: $0) }
    }
}
