import AppC
import Archive
import ArgumentParser
import Conversion
import Diagnostics
import Files
import Glibc
import Image
import Program

/// `docker2aci`: one image in, one ACI file in the working directory out, with the ancestor's options and words.
public struct Docker2ACI: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "docker2aci",
        abstract: "Convert a Docker image to an App Container Image.",
        discussion: """
            IMAGE is a name (busybox, docker://localhost:5000/a/b:tag) or a file that docker save wrote. The ACI is written to the \
            working directory and named after the image. Options may be written with one dash or two.

            Exit status: 0 converted, 1 failed, 2 wrong usage.
            """,
        version: "docker2aci \(versionText)")

    @Argument(help: ArgumentHelp("What to convert.", valueName: "image"))
    var image: String

    @OptionGroup var source: SourceOptions

    @OptionGroup var bounds: LimitOptions

    @Option(help: "How to compress the ACI.")
    var compression: Compression = .gzip

    @Option(help: ArgumentHelp("How hard to compress: gzip 0-3, xz 0-9, bzip2 1-9, zstd 1-19. (default: 2, 6, 9, 3)", valueName: "n"))
    var compressionLevel: Int?

    @Flag(help: "Say more on standard error.")
    var debug = false

    @Flag(help: "Say nothing but errors.")
    var quiet = false

    public init() {}

    /// The ancestor's options are Go's: one dash is as good as two.
    public static func normalize(_ arguments: [String]) -> [String] {
        var ended = false
        return arguments.map { word in
            if word == "--" { ended = true }
            guard !ended, word.hasPrefix("-"), !word.hasPrefix("--"), word.count > 2 else { return word }
            return "-" + word
        }
    }

    public func run() throws {
        try compression.check(level: compressionLevel)
        let limits = try bounds.limits()
        if compression == .zstd { complain("docker2aci: warning: zstd is outside the appc spec: only d2a is known to read such an ACI\n") }
        // Beside the result, so that disk full shows early and on the right disk; temporary files have no name.
        let here = try Directory.open(".")
        let progress = ProgressDisplay(quiet: quiet)
        defer { progress.finish() }
        let opened = try source.open(image, scratch: here, events: progress.handle)
        let described = try opened.image()
        let name = Self.fileName(described.name)
        let file = try here.unnamedFile()
        let result = try Converter(opened, limits: limits).convert {
            try file.restart()
            return try compression.sink(FileSink(file), level: compressionLevel)
        }
        try here.publish(file, as: name)
        progress.finish()
        for warning in result.warnings { complain("docker2aci: warning: \(printable(warning))\n") }
        if !quiet { print(Self.report(result.manifest, file: name), terminator: "") }
    }

    /// `library-busybox-latest.aci`
    static func fileName(_ name: ImageName) -> String {
        let stem = name.repository.split(separator: "/").joined(separator: "-")
        return (name.tag.map { "\(stem)-\($0)" } ?? stem) + ".aci"
    }

    static func report(_ manifest: ImageManifest, file: String) -> String {
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
        return text + "\nGenerated ACI(s):\n\(file)\n"
    }
}
