import AppC
import Archive
import ArgumentParser
import CLinux
import Conversion
import Credentials
import Diagnostics
import Engine
import Files
import Glibc
import Image
import ImageOptions
import Location
import Program
import Sandbox
import Squash

/// `docker2aci`: one image in, one ACI file in the working directory out, with the ancestor's options and words.
public struct Docker2ACI: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "docker2aci",
        abstract: "Convert a Docker image to an App Container Image.",
        discussion: """
            IMAGE is a name (busybox, docker://localhost:5000/a/b:tag), a file that docker save wrote (docker-archive:FILE[:NAME]), an \
            OCI layout (oci:DIRECTORY[:REF], oci-archive:FILE[:REF]), an image of the Docker engine (docker-daemon:NAME), or - for \
            standard input. The ACI is written to the \
            working directory and named after the image. Options may be written with one dash or two, values after = or a blank.

            Exit status: 0 converted, 1 failed, 2 wrong usage.
            """,
        version: "docker2aci \(versionText)")

    @Argument(help: ArgumentHelp("What to convert.", valueName: "image"))
    var image: String

    @OptionGroup var source: SourceOptions

    @Option(help: ArgumentHelp("Log in to the registry. (default: what docker login has kept)", valueName: "user:password"))
    var creds: String?

    @Flag(help: "Log in with the line USER:PASSWORD that is the first of standard input.")
    var credsStdin = false

    @OptionGroup var bounds: LimitOptions

    @Option(help: "How to compress the ACI.")
    var compression: Compression = .gzip

    @Option(help: ArgumentHelp("How hard to compress: gzip 0-3, xz 0-9, bzip2 1-9, zstd 1-19. (default: 2, 6, 9, 3)", valueName: "n"))
    var compressionLevel: Int?

    @Flag(help: "Write one ACI for each layer, each of which depends on the one below.")
    var nosquash = false

    @Option(name: [.short, .long], help: ArgumentHelp("The file to write, or the directory to write it to. (default: .)", valueName: "path"))
    var output: String?

    @Flag(help: "List what became of the fields that appc has no equal for.")
    var report = false

    @Flag(help: "Print what was made as JSON.")
    var json = false

    @Flag(help: "Say more on standard error.")
    var debug = false

    @Flag(help: "Say nothing but errors.")
    var quiet = false

    public init() {}

    /// The ancestor's options are Go's: one dash is as good as two, and a flag may be given as `-debug=true`.
    public static func normalize(_ arguments: [String]) -> [String] {
        let flags = [
            "--nosquash", "--insecure-skip-verify", "--insecure-allow-http", "--no-cache", "--creds-stdin", "--report", "--json", "--debug", "--quiet",
            "--version",
        ]
        var ended = false
        return arguments.compactMap { word in
            if word == "--" { ended = true }
            guard !ended, word.hasPrefix("-"), word.count > 2 else { return word }
            if word.hasPrefix("-o=") { return "--output" + word.dropFirst(2) }
            let long = word.hasPrefix("--") ? word : "-" + word
            let parts = long.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, flags.contains(String(parts[0])) else { return long }
            switch parts[1] {
            case "1", "t", "T", "true", "TRUE", "True": return String(parts[0])
            case "0", "f", "F", "false", "FALSE", "False": return nil
            default: return long
            }
        }
    }

    public func validate() throws {
        if credsStdin, creds != nil { throw ValidationError("--creds and --creds-stdin exclude each other") }
        if credsStdin, image == "-" { throw ValidationError("standard input can't be the image and begin with a password") }
    }

    public func run() throws {
        try compression.check(level: compressionLevel)
        let limits = bounds.limits
        if compression == .zstd { complain("docker2aci: warning: zstd is outside the appc spec: only d2a is known to read such an ACI\n") }
        let target = try Target(output)
        if nosquash, target.name != nil { throw ValidationError("--output must be a directory with --nosquash") }
        let (names, result) = try convert(limits, target)
        for warning in result.warnings { complain("docker2aci: warning: \(printable(warning))\n") }
        if report {
            for note in result.notes where note.outcome != .dropped { complain("docker2aci: \(note.outcome): \(printable("\(note.field): \(note.detail)"))\n") }
        }
        let paths = names.map { target.path(of: $0) }
        if json {
            print(
                try CanonicalJSON.text(
                    Made(
                        aci: paths.last!, layers: nosquash ? paths : nil, name: result.manifest.name, labels: result.manifest.labels ?? [], notes: result.notes)
                ))
        } else if !quiet {
            print(Self.text(result.manifest, files: paths), terminator: "")
        }
    }

    /// Writes the ACIs, which appear under their names when all are whole.
    private func convert(_ limits: Limits, _ target: Target) throws -> (names: [String], result: Converter.Result) {
        let progress = ProgressDisplay(source.progress, quiet: quiet, json: json)
        defer { progress.finish() }
        // All that the person's rights are needed for comes first; then strangers' bytes are read.
        let location = try ImageLocation(image)
        let place = try location.open()
        let option = credsStdin ? try Credential.lineOfStandardInput() : creds
        let access = try location.reference.map { try RegistryAccess(option: option, for: $0) } ?? RegistryAccess(places: [])
        let (cache, engine) = (source.cache(), EngineAddress.ofEnvironment)
        try Sandbox(
            reading: place.map { [$0] } ?? [], writing: [target.directory] + (cache.map { [$0.directory] } ?? []), network: location.needsNetwork,
            // The directory that is written to may be someone else's.
            capabilities: [CAP_DAC_OVERRIDE]
        ).enter()
        // Beside the result, so that disk full shows early and on the right disk; temporary files have no name.
        let opened = try source.open(
            image, opened: place, access: { _ in access }, cache: cache, engine: engine, scratch: target.directory, events: progress.handle)
        let described = try opened.image()
        try source.check(described, called: image)
        if debug {
            for layer in described.layers { complain("docker2aci: layer \(layer.label)\(layer.size.map { ", \($0) bytes" } ?? "")\n") }
        }
        let converter = Converter(opened, limits: limits)
        if nosquash {
            let files = try described.layers.map { _ in try PendingFile(in: target.directory) }
            let results = try converter.convertLayers { try compression.sink(FileSink(files[$0].file), level: compressionLevel) }
            let names = results.enumerated().map { number, result in
                Self.fileName(described.name, result.manifest, layer: results.count - 1 - number)
            }
            for (file, name) in zip(files, names) { try file.publish(as: name) }
            return (names, results.last!)
        }
        let name = target.name ?? Self.fileName(described.name)
        let pending = try PendingFile(in: target.directory)
        let result = try converter.convert {
            try pending.file.restart()
            return try compression.sink(FileSink(pending.file), level: compressionLevel)
        }
        try pending.publish(as: name)
        return ([name], result)
    }

    /// What is printed with `--json`.
    private struct Made: Encodable {
        var aci: String
        /// All ACIs, the base's first, where there is one a layer.
        var layers: [String]?
        var name: String
        var labels: [NamedValue]
        var notes: [ConversionNote]
    }

    /// Where the ACI goes: an existing directory, or a file in one.
    private struct Target {
        var directory: Directory
        /// nil for the image's own.
        var name: String?
        private var prefix: String

        init(_ output: String?) throws(FileError) {
            guard let output, output != "." else {
                (directory, prefix) = (try Directory.open("."), "")
                return
            }
            if let found = try? Directory.open(output) {
                (directory, prefix) = (found, output.hasSuffix("/") ? output : output + "/")
                return
            }
            let slash = output.lastIndex(of: "/")
            prefix = slash.map { String(output[...$0]) } ?? ""
            directory = try Directory.open(prefix.isEmpty ? "." : prefix)
            name = slash.map { String(output[output.index(after: $0)...]) } ?? output
            // "new/" is no file's name.
            if name!.isEmpty { throw FileError("open directory", output, code: ENOENT) }
        }

        func path(of name: String) -> String { prefix + name }
    }

    /// `library-busybox-latest.aci`
    static func fileName(_ name: ImageName) -> String { stem(name) + ".aci" }

    /// `library-busybox-latest-linux-amd64-0.aci`
    /// - Parameter layer: 0 is the top one.
    static func fileName(_ name: ImageName, _ manifest: ImageManifest, layer: Int) -> String {
        ([stem(name)] + ["os", "arch"].compactMap { manifest.label($0) } + ["\(layer)"]).joined(separator: "-") + ".aci"
    }

    private static func stem(_ name: ImageName) -> String {
        let stem = name.repository.split(separator: "/").joined(separator: "-")
        return name.tag.map { "\(stem)-\($0)" } ?? stem
    }

    static func text(_ manifest: ImageManifest, files: [String]) -> String {
        var text = ""
        if let mountPoints = manifest.app?.mountPoints, !mountPoints.isEmpty {
            text += "\nConverted volumes:\n"
            for point in mountPoints {
                text += "\tname: \"\(point.name)\", path: \"\(printable(point.path))\", readOnly: \(point.readOnly ?? false)\n"
            }
        }
        if let ports = manifest.app?.ports, !ports.isEmpty {
            text += "\nConverted ports:\n"
            for port in ports {
                text += "\tname: \"\(port.name)\", protocol: \"\(port.protocol)\", port: \(port.port), count: \(port.count ?? 1), "
                text += "socketActivated: \(port.socketActivated ?? false)\n"
            }
        }
        return text + "\nGenerated ACI(s):\n" + files.map { $0 + "\n" }.joined()
    }
}
