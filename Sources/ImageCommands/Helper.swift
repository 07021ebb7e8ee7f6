import AppC
import Archive
import ArgumentParser
import Cache
import CLinux
import Conversion
import Credentials
import Diagnostics
import Digest
import Files
import Glibc
import Hashing
import Location
import Program
import Render
import Sandbox
import SavedImage
import Store

/// `d2a-image`: what `d2a` leaves to another process because it reads strangers' bytes. Not for people.
///
/// It gets open descriptors and no paths: 3 and up in the order that each command names.
public struct ImageHelper: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "d2a-image", abstract: "Fetches, converts and unpacks images for d2a.",
        subcommands: [FetchHelper.self, FillHelper.self, RenderHelper.self, ValidateHelper.self, PatchHelper.self])

    public init() {}
}

/// Fetches an image and writes its ACI. Descriptors: 3 the file to write, 4 the report, 5 a directory for temporary files,
/// and 6 the file or directory where the image is, or how the registry lets us in where it is in one.
struct FetchHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fetch")

    @Argument var image: String
    @Flag(help: "Where the image is was opened as descriptor 6.") var opened = false
    @Flag(help: "How the registry lets us in is in the file open as descriptor 6.") var access = false
    @Option(help: "The descriptor of the cache's directory.") var cache: Int32?
    @Flag var quiet = false
    @OptionGroup var source: SourceOptions
    @OptionGroup var bounds: LimitOptions

    func run() throws {
        let limits = try bounds.limits()
        system_die_with_parent()
        let scratch = Directory(descriptor: 5, path: "the store")
        // A relative path reaches the scratch directory even where its parents are closed to this user.
        guard fchdir(5) == 0 else { throw FileError("enter", scratch.path) }
        var place: (any DescriptorOwner)? = opened ? OpenFile(descriptor: 6, path: image) : nil
        // The engine's socket is not for everyone; what comes out of it is only kept for now.
        if !opened, case .engine(let name) = try ImageLocation(image) { place = try SourceOptions.archive(ofEngine: name, scratch: scratch) }
        if let opened = place, case .directory(let path, _) = try ImageLocation(image, opened: opened) {
            place = try LayoutDirectory(openingFilesOf: Directory(descriptor: dup(opened.descriptor), path: path))
        }
        try becomeNobody(handingOver: [3, 5])
        let kept = cache.map { Directory(descriptor: $0, path: "the cache") }
        try Sandbox(reading: place.map { [$0] } ?? [], writing: [scratch] + (kept.map { [$0] } ?? []), network: access).enter()

        let progress = ProgressDisplay(quiet: quiet)
        defer { progress.finish() }
        let registry = access ? try RegistryAccess(from: OpenFile(descriptor: 6, path: "the credential")) : RegistryAccess(places: [])
        let blobs = kept.flatMap { source.cache(in: CacheDirectory($0)) }
        let image = try source.open(
            image, opened: place, access: { _ in registry }, cache: blobs, scratch: scratch, events: progress.handle)
        let output = OpenFile(descriptor: 3, path: "the store")
        var (sha512, sha256) = (StreamHasher(.sha512), StreamHasher(.sha256))
        let result = try Converter(image, limits: limits).convert {
            try output.restart()
            let hashers = (StreamHasher(.sha512), StreamHasher(.sha256))
            (sha512, sha256) = hashers
            // Hashing costs more than everything else together: each hash has a thread of its own.
            return TeeSink([
                FileSink(output), ThreadedSink(ClosureSink { hashers.0.update($0) }), ThreadedSink(ClosureSink { hashers.1.update($0) }),
            ])
        }
        progress.finish()
        for warning in result.warnings { complain("d2a: warning: \(printable(warning))\n") }

        let report = FetchReport(
            id: ImageID(sha512.finish()).description, sha256: ImageID(sha256.finish()).description,
            manifest: String(decoding: result.manifestBytes, as: UTF8.self))
        let pipe = OpenFile(descriptor: 4, path: "d2a")
        try pipe.write(CanonicalJSON.text(report))
    }
}

/// Downloads images into the cache. Descriptors: 3 the cache's directory, and 4 how the registry lets us in where it is in one.
struct FillHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fill")

    @Argument var image: String
    @Flag(help: "How the registry lets us in is in the file open as descriptor 4.") var access = false
    @Flag var quiet = false
    @OptionGroup var source: SourceOptions

    func run() throws {
        system_die_with_parent()
        let directory = Directory(descriptor: 3, path: "the cache")
        try becomeNobody()
        try Sandbox(writing: [directory], network: true).enter()
        let registry = access ? try RegistryAccess(from: OpenFile(descriptor: 4, path: "the credential")) : RegistryAccess(places: [])
        let progress = ProgressDisplay(quiet: quiet)
        defer { progress.finish() }
        // What the cache has no room for would go to the scratch directory: here that is an error of its disk.
        let opened = try source.open(
            image, access: { _ in registry }, cache: source.cache(in: CacheDirectory(directory)), scratch: directory, events: progress.handle)
        for layer in try opened.image().layers.indices { _ = try opened.blob(layer) }
    }
}

extension RegistryAccess {
    /// Reads what `d2a` has found.
    fileprivate init(from file: OpenFile) throws { self = try CanonicalJSON.decode(RegistryAccess.self, from: file.readAll(limit: 1 << 20)) }
}

/// Unpacks a rootfs. Descriptors: 3 the ACI, then those that it depends on, each after the one that stands on it, then the
/// empty directory to unpack in.
struct RenderHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "render")

    @Option(help: "For each ACI, how many, itself first, are it and what it depends on.") var spans: String

    func run() throws {
        let spans = spans.split(separator: ",").compactMap { Int($0) }
        let count = Int32(spans.count)
        system_die_with_parent()
        system_no_new_privileges()
        try Renderer.confine(to: Directory(descriptor: 3 + count, path: "the store"))
        try Sandbox(
            writing: [Directory.open("/")], capabilities: [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP]
        ).enter()
        try Renderer.render((0..<count).map { (OpenFile(descriptor: 3 + $0, path: "the image"), spans[Int($0)]) })
    }
}
