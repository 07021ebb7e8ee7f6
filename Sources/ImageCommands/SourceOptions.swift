import AppC
import ArgumentParser
import Cache
import Credentials
import Diagnostics
import Engine
import Files
import Glibc
import Image
import ImageOptions
import Location
import Manifests
import Program
import Reference
import Registry
import SavedImage
import Squash
import Transport

/// Where an image comes from, and how it is asked for: options that all commands share.
public struct SourceOptions: ParsableArguments, Sendable {
    @Option(name: .customLong("image"), help: ArgumentHelp("Which image of a file that holds several.", valueName: "name[:tag]"))
    public var imageInFile: String?

    @OptionGroup public var choices: RegistryChoices

    @Option(help: ArgumentHelp("How many layers to download at once.", valueName: "n"))
    public var jobs = 3

    @Option(
        help: ArgumentHelp(
            "Tell of downloads on standard error as bars, lines or json, or not: none. (default: bars on a terminal, else lines if it takes long)",
            valueName: "style"))
    public var progress: ProgressStyle = .auto

    public init() {}

    public func validate() throws { guard jobs >= 1 else { throw ValidationError("--jobs \(jobs): give a number of 1 or more") } }

    /// The cache of whoever runs this; nil where none is wanted, or none can be had.
    func cache() -> BlobCache? {
        guard !choices.noCache, let directory = CacheDirectory.standard else { return nil }
        return cache(in: directory)
    }

    func cache(in directory: CacheDirectory) -> BlobCache? { try? BlobCache(directory, limit: choices.cacheSize?.bytes ?? CacheDirectory.standardLimit) }

    /// - Parameters:
    ///   - image: where it is, as people write it.
    ///   - opened: the file or directory, where somebody with more rights has opened it.
    ///   - access: finds out how a registry lets us in.
    ///   - cache: where blobs are kept.
    ///   - engine: where the Docker engine is.
    ///   - connections: those of many images. Then layers are downloaded when they are wanted.
    public func open(
        _ image: String, opened: (any DescriptorOwner)? = nil, access: (ImageReference) throws -> RegistryAccess, cache: @autoclosure () -> BlobCache?,
        engine: Result<EngineAddress, EngineError> = EngineAddress.ofEnvironment, scratch: Directory, connections: RegistryConnections? = nil,
        events: @escaping @Sendable (SourceEvent) -> Void
    ) throws -> any ImageSource {
        let platform = try choices.platform.map { try Platform($0) } ?? .current
        let location = try ImageLocation(image, opened: opened)
        let opened = try opened ?? location.open()
        switch location {
        case .registry(let reference):
            if choices.servers.insecureSkipVerify { complain("warning: the certificates of \(reference.registry) are not verified (--insecure-skip-verify)\n") }
            var options = RegistryOptions(
                platform: platform, transport: choices.servers.transport, jobs: jobs, version: choices.registryVersion ?? .auto, cache: cache())
            (options.lazily, options.connections) = (connections != nil, connections)
            return RegistrySource(reference: reference, options: options, access: try access(reference), scratch: scratch, events: events)
        case .file(let path, let name):
            let file = OpenFile(descriptor: dup(opened!.descriptor), path: path)
            return try SavedImage.open(file, path: path == "-" ? "standard input" : path, image: imageInFile ?? name, platform: platform, scratch: scratch)
        case .directory(let path, let name):
            let layout = opened as? LayoutDirectory ?? LayoutDirectory(Directory(descriptor: dup(opened!.descriptor), path: path))
            return try SavedImage.open(layout, path: path, image: imageInFile ?? name, platform: platform)
        case .engine(let name):
            let file = try opened.map { OpenFile(descriptor: dup($0.descriptor), path: name) } ?? Self.archive(of: name, engine.get(), scratch: scratch)
            return try SavedImage.open(file, path: name, image: nil, platform: platform, scratch: scratch)
        }
    }

    /// Checks that an image which is for one platform only is for the one that was asked for.
    /// - Parameter name: what messages call it.
    /// - Throws: `SourceError.noSuchPlatform`
    func check(_ image: SourceImage, called name: String) throws {
        guard let wanted = try choices.platform.map({ try Platform($0) }), let config = try? CanonicalJSON.decode(PlatformDocument.self, from: image.config),
            let architecture = config.architecture
        else { return }
        let actual = Platform(os: config.os ?? "linux", architecture: architecture, variant: config.variant)
        guard wanted.suitability(of: actual) > 0 else { throw SourceError.noSuchPlatform(image: name, wanted: wanted, available: [actual]) }
    }

    private struct PlatformDocument: Decodable {
        var os: String?
        var architecture: String?
        var variant: String?
    }

    /// An image of the Docker engine, as an archive.
    static func archive(of name: String, _ engine: EngineAddress, scratch: Directory) throws -> OpenFile {
        let file = try scratch.unnamedFile()
        try EngineClient(engine).save(name, into: file)
        return file
    }
}

extension ServerOptions {
    var transport: TransportOptions {
        var result = TransportOptions()
        (result.insecureSkipVerify, result.allowHTTP) = (insecureSkipVerify, insecureAllowHttp)
        if let connectTimeout { result.connectTimeout = connectTimeout }
        if let stallTimeout { result.stallTimeout = stallTimeout }
        if let retry { result.retries = retry }
        if let retryDelay { result.backoff = retryDelay }
        return result
    }
}

extension LimitOptions {
    var limits: Limits {
        var limits = Limits()
        if let maxSize { limits.size = maxSize.bytes }
        if let maxEntries { limits.entries = maxEntries }
        if let maxRatio { limits.ratio = maxRatio }
        return limits
    }
}
