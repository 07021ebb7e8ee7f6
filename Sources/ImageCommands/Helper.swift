import ACI
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
import ImageOptions
import Location
import Program
import Reference
import Registry
import Render
import Sandbox
import SavedImage
import Squash
import Store
import Transport

/// `d2a-image`: what `d2a` leaves to another process because it reads strangers' bytes. Not for people.
///
/// It gets open descriptors and no paths: 3 and up in the order that each command names.
public struct ImageHelper: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "d2a-image", abstract: "Fetches, converts and unpacks images for d2a.",
        subcommands: [
            FetchHelper.self,
            FillHelper.self,
            RenderHelper.self,
            ArchiveHelper.self,
            ValidateHelper.self,
            PatchHelper.self,
            DownloadHelper.self,
            DiscoverHelper.self,
            GnuPGHelper.self,
            VerifyHelper.self,
            ObjectsHelper.self,
            BatchHelper.self,
            CatalogHelper.self,
            ListHelper.self,
            OriginalHelper.self,
            EngineExportHelper.self,
            UnpackHelper.self,
            CaptureHelper.self,
            EngineVersionHelper.self,
            EngineLoadHelper.self,
            EngineForgetHelper.self, EngineLeftoversHelper.self,
            EngineRunHelper.self,
        ])

    public init() {}
}

/// Fetches an image and writes its ACI. Descriptors: 3 the file to write, 4 the report, 5 a directory for temporary files,
/// and 6 the file or directory where the image is, or how the registry lets us in where it is in one.
struct FetchHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fetch")

    @OptionGroup var from: HelperSource
    @Option(help: "End so, and say nothing, where a registry has no such image.") var missing: Int32?
    @OptionGroup var bounds: LimitOptions

    func run() throws {
        do { try work() } catch let error where missing != nil && Self.meansMissing(error) { throw ExitCode(missing!) }
    }

    /// Whether a registry, or whatever is in its place, has no such image.
    private static func meansMissing(_ error: any Error) -> Bool {
        switch error {
        case RegistryError.repositoryNotFound, RegistryError.otherProtocol, RegistryError.tagNotFound, RegistryError.refused, RegistryError.invalid: true
        case TransportError.unreachable: true
        default: false
        }
    }

    private func work() throws {
        let limits = bounds.limits
        let opened = try from.enter(writing: [3]).seekable(limits)
        if let file = opened.place as? OpenFile, ACIFile.isACI(try FileRegion(file, offset: 0, length: file.size())) { return try takeACI(file, limits) }

        let progress = ProgressDisplay(from.source.progress, quiet: from.quiet)
        defer { progress.finish() }
        let image = try from.open(opened, progress)
        try from.source.check(image.image(), called: from.image)
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
        try report(sha512, sha256, result.manifestBytes)
    }

    private func report(_ sha512: StreamHasher, _ sha256: StreamHasher, _ manifest: [UInt8]) throws {
        let report = FetchReport(
            id: ImageID(sha512.finish()).description, sha256: ImageID(sha256.finish()).description, manifest: String(decoding: manifest, as: UTF8.self))
        try OpenFile(descriptor: 4, path: "d2a").write(CanonicalJSON.text(report))
    }

    /// Takes an ACI as it is, uncompressed, and checks it on the way: one thread inflates, one writes and hashes, one hashes once more,
    /// and this one reads the tar.
    private func takeACI(_ file: OpenFile, _ limits: Limits) throws {
        let output = OpenFile(descriptor: 3, path: "the store")
        let (sha512, sha256) = (StreamHasher(.sha512), StreamHasher(.sha256))
        let second = ThreadedSink(ClosureSink { sha256.update($0) })
        let bound = min(limits.size, try limits.bound(servedSize: file.size()))
        var count = 0
        let source = ReadAheadSource(try Decompressor.open(FileRegion(file, offset: 0, length: file.size()))) { bytes in
            count += bytes.count
            guard count <= bound else { throw ArchiveError.beyondLimit(option: "--max-size and --max-ratio", reason: "it unpacks to more than \(bound) bytes") }
            try second.write(bytes)
            try output.write(bytes)
            sha512.update(bytes)
        }
        let manifest = try ACIFile.validate(plain: source).manifest
        try second.finish()
        try report(sha512, sha256, CanonicalJSON.encode(manifest))
    }
}

/// Checks what lies in the store. Descriptor 3: an image, whose IDs are given; or images as `render` takes them, and then the
/// directory of a tree.
struct VerifyHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "verify")

    @Option var id: String?
    @Option var sha256: String?
    @Option var spans: String?
    @Option(help: "What the tree is called.") var tree: String?

    func run() throws {
        if let spans, let tree {
            let spans = spans.split(separator: ",").compactMap { Int($0) }
            let images = spans.enumerated().map { (OpenFile(descriptor: Int32(3 + $0), path: "the image"), $1) }
            let owners = FileOwners.current()
            try Renderer.confine(to: Directory(descriptor: Int32(3 + spans.count), path: "the store"))
            try Sandbox(reading: [Directory.open("/")], capabilities: [CAP_DAC_READ_SEARCH]).enter()
            return try TreeVerifier.verify(images, tree: tree, owners: owners)
        }
        try becomeNobody()
        try Sandbox().enter()
        let file = OpenFile(descriptor: 3, path: id ?? "the image")
        let (first, second) = (StreamHasher(.sha512), StreamHasher(.sha256))
        let other = ThreadedSink(ClosureSink { second.update($0) })
        try FileSource(file).pass { bytes in
            try other.write(bytes)
            first.update(bytes)
        }
        try other.finish()
        guard ImageID(first.finish()).description == id, ImageID(second.finish()).description == sha256 else { throw ChangedImage(id: id ?? "") }
    }
}

/// The bytes of an image aren't those that its name says.
private struct ChangedImage: DiagnosedError {
    var id: String
    var diagnosis: Diagnosis { Diagnosis("the file of \(id) was changed: its hash is another", hint: "d2a image rm it, and fetch it again") }
}

/// Downloads images into the cache. Descriptors: 3 the cache's directory, and 4 how the registry lets us in where it is in one.
struct FillHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fill")

    @Argument var image: String
    @Flag(help: "How the registry lets us in is in the file open as descriptor 4.") var access = false
    @Flag var quiet = false
    @Flag(help: "Print what is there then.") var json = false
    @OptionGroup var source: SourceOptions

    func run() throws {
        let directory = Directory(descriptor: 3, path: "the cache")
        try becomeNobody()
        try Sandbox(writing: [directory], network: true).enter()
        let registry = access ? try RegistryAccess(from: OpenFile(descriptor: 4, path: "the credential")) : RegistryAccess(places: [])
        let progress = ProgressDisplay(source.progress, quiet: quiet)
        defer { progress.finish() }
        // What the cache has no room for would go to the scratch directory: here that is an error of its disk.
        let opened = try source.open(
            image, access: { _ in registry }, cache: source.cache(in: CacheDirectory(directory)), scratch: directory, events: progress.handle)
        let found = try opened.image()
        for layer in found.layers.indices { _ = try opened.blob(layer) }
        progress.finish()
        if json { print(try CanonicalJSON.text(Kept(image: image, digest: found.manifestDigest?.description, layers: found.layers.count))) }
    }

    /// What is printed with `--json`.
    private struct Kept: Encodable {
        var image: String
        /// Of the manifest that the name leads to.
        var digest: String?
        var layers: Int
    }
}

extension RegistryAccess {
    /// Reads what `d2a` has found.
    init(from file: OpenFile) throws { self = try CanonicalJSON.decode(RegistryAccess.self, from: file.readAll(limit: 1 << 20)) }
}

/// Unpacks a rootfs. Descriptors: 3 the ACI, then those that it depends on, each after the one that stands on it, then the
/// empty directory to unpack in.
struct RenderHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "render")

    @Option(help: "For each ACI, how many, itself first, are it and what it depends on.") var spans: String

    @Flag(help: "Leave nothing out of a single image that has a whitelist.") var whole = false

    func run() throws {
        let spans = spans.split(separator: ",").compactMap { Int($0) }
        let count = Int32(spans.count)
        let owners = FileOwners.current()
        try Renderer.confine(to: Directory(descriptor: 3 + count, path: "the store"))
        try Sandbox(
            writing: [Directory.open("/")], capabilities: [CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP]
        ).enter()
        try Renderer.render((0..<count).map { (OpenFile(descriptor: 3 + $0, path: "the image"), spans[Int($0)]) }, whole: whole, owners: owners)
    }
}
