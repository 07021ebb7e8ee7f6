import ACI
import Accounts
import AppC
import Archive
import Digest
import Hashing
import Image
import Squash

/// Converts one image to one squashed ACI, or to one ACI a layer (appc spec `aci.md`).
public struct Converter {
    /// What was made, for whoever prints or stores it.
    public struct Result: Sendable {
        public var manifest: ImageManifest
        /// The manifest's bytes as they stand in the ACI.
        public var manifestBytes: [UInt8]
        /// What became of fields that appc has no equal for.
        public var notes: [ConversionNote]

        /// What a person should know even if nobody asks.
        public var warnings: [String] { notes.filter { $0.outcome == .dropped }.map { "\($0.field): \($0.detail)" } }
    }

    private let source: any ImageSource
    private let limits: Limits
    private let shelf: LayerShelf?
    private let level: Int

    /// - Parameters:
    ///   - shelf: where layers are kept that other images have too.
    ///   - level: the one that gzip will compress the image with, as ISA-L counts.
    public init(_ source: any ImageSource, limits: Limits = Limits(), shelf: LayerShelf? = nil, level: Int = 2) {
        self.source = source
        self.level = level
        self.shelf = shelf
        self.limits = limits
    }

    /// Reads all layers, checks them, and writes the ACI's uncompressed tar, in the order of ``Squasher``.
    ///
    /// Memory grows with the number of paths, not with data, and nothing is unpacked to disk.
    /// - Parameter makeSink: where the tar goes; finished at the end. It is asked for a new one, from the beginning, where
    ///   what was written turns out not to stand.
    /// - Throws: ``ConversionError``, and errors of the source and the sink.
    public func convert(_ makeSink: () throws -> any ByteSink) throws -> Result {
        let image = try source.image()
        var cameMeanwhile = false
        return try refusing {
            do { return try convert(image, &cameMeanwhile, makeSink) } catch let error as ConversionError where error.isOfData && cameMeanwhile {
                // What came may have been damaged, and the source tell why; or a download began anew after we had read some of it.
                for layer in image.layers.indices { _ = try source.blob(layer) }
                return try convert(image, &cameMeanwhile, makeSink)
            }
        }
    }

    /// Has the source keep nothing of an image whose layers can't be converted.
    private func refusing<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch let error as ConversionError where error.isOfLayers {
            source.refuse()
            throw error
        }
    }

    /// What ``convert(_:)`` would make, as far as that is known before the layers are written.
    /// - Returns: also whether the image's passwd file has the user, where that had to be looked up.
    public func plan() throws -> (result: Result, knowsUser: Bool?) {
        let image = try source.image()
        let layers = ImageLayers(image, source, limits: limits)
        return try namingLayers(of: image) {
            var squasher = Squasher(layers, limits: limits)
            var knowsUser: Bool?
            var generator = try ManifestGenerator(image: image, config: config(of: image)) {
                let group = try Self.group(of: $0, &squasher, layers)
                knowsUser = group != nil
                return group
            }
            let manifest = try generator.manifest()
            return (Result(manifest: manifest, manifestBytes: try ManifestReader.bytes(manifest), notes: generator.notes), knowsUser)
        }
    }

    /// - Parameter cameMeanwhile: becomes true where a layer was read before all of it was here.
    private func convert(_ image: SourceImage, _ cameMeanwhile: inout Bool, _ makeSink: () throws -> any ByteSink) throws -> Result {
        let layers = ImageLayers(image, source, arriving: true, shelf: shelf, level: level, limits: limits)
        defer { cameMeanwhile = layers.cameMeanwhile }
        do {
            return try namingLayers(of: image) {
                var squasher = Squasher(layers, limits: limits)
                var generator = try ManifestGenerator(image: image, config: config(of: image)) { try Self.group(of: $0, &squasher, layers) }
                let manifest = try generator.manifest()
                let bytes = try ManifestReader.bytes(manifest)
                do { try write(&squasher, manifest, bytes, layers, makeSink()) } catch is Squasher.NeedsPlan {
                    try squasher.plan()
                    try write(&squasher, manifest, bytes, layers, makeSink())
                }
                // Nothing stands that isn't checked.
                if layers.cameMeanwhile { for layer in image.layers.indices { _ = try source.blob(layer) } }
                return Result(manifest: manifest, manifestBytes: bytes, notes: generator.notes)
            }
        } catch let error as ConversionError where error.isOfData { throw error } catch {
            // Threads that read ahead would wait for bytes that nobody needs.
            source.giveUp()
            throw error
        }
    }

    /// Writes an ACI for each layer, the base first. Each depends on the one below and lists what it shows in its whitelist, so
    /// that the chain, rendered, is what ``convert(_:)`` makes. Each layer is read twice.
    ///
    /// - Parameter makeSink: where the uncompressed tar of a layer (base is 0) goes.
    /// - Returns: one result a layer, the base first; the last one has the notes.
    /// - Throws: ``ConversionError``, and errors of the source and the sinks.
    public func convertLayers(_ makeSink: (_ layer: Int) throws -> any ByteSink) throws -> [Result] {
        let image = try source.image()
        guard !image.layers.isEmpty else { throw ConversionError.badConfig("it has no layers") }
        return try refusing { try convertLayers(of: image, makeSink) }
    }

    private func convertLayers(of image: SourceImage, _ makeSink: (_ layer: Int) throws -> any ByteSink) throws -> [Result] {
        try namingLayers(of: image) {
            var generator = try ManifestGenerator(image: image, config: config(of: image)) { user in
                let layers = ImageLayers(image, source)
                var squasher = Squasher(layers, limits: limits)
                return try Self.group(of: user, &squasher, layers)
            }
            let whole = try generator.manifest()
            var splitter = LayerSplitter(ImageLayers(image, source, fromBase: true), limits: limits)
            var below: (manifest: ImageManifest, id: ImageID)?
            return try image.layers.indices.map { layer in
                try splitter.next()
                if layer == image.layers.count - 1 {
                    try splitter.add(additions(whole))
                    if try splitter.showsLeaf(at: Array("dev".utf8)) { throw ConversionError.devIsNoDirectory }
                }
                let manifest = try generator.manifest(layer: layer, of: whole, on: below, whitelist: Self.whitelist(splitter))
                let bytes = try ManifestReader.bytes(manifest)
                let hasher = StreamHasher(.sha512)
                let sink = try TeeSink([makeSink(layer), ThreadedSink(ClosureSink { hasher.update($0) })])
                let writer = try ACIWriter(sink, manifest: bytes)
                try splitter.write { try writer.write($0, $1) }
                try writer.finish()
                below = (manifest, ImageID(hasher.finish()))
                return Result(manifest: manifest, manifestBytes: bytes, notes: generator.notes)
            }
        }
    }

    private func config(of image: SourceImage) throws -> DockerConfig {
        let config = try DockerConfig(image.config)
        try Self.checkSystem(config)
        return config
    }

    /// - Throws: ``ConversionError/unsupportedSystem(_:)``
    static func checkSystem(_ config: DockerConfig) throws {
        if let os = config.os, !os.isEmpty, Architecture.valid[os] == nil { throw ConversionError.unsupportedSystem(os) }
    }

    /// The primary group of a user by the image's own `/etc/passwd`. Only a user's name without a group makes it look into the
    /// image before the manifest is known.
    private static func group(of user: String, _ squasher: inout Squasher, _ layers: ImageLayers) throws -> String? {
        try squasher.plan()
        guard let passwd = try squasher.origin(of: Array("etc/passwd".utf8)) else { return nil }
        return try layers.content(passwd.layer, passwd.ordinal).flatMap { UserEntry.find(user, in: $0) }.map { String($0.group) }
    }

    /// All that is shown. An empty list would mean everything, so the root stands in it.
    private static func whitelist(_ splitter: LayerSplitter) throws -> [String]? {
        var result = ["/"]
        for path in splitter.paths() {
            guard let text = String(validating: path, as: UTF8.self) else {
                guard !splitter.hides else { throw ConversionError.notText(path: path) }
                // Nothing has to be hidden: what is there is what is shown.
                return nil
            }
            result.append("/" + text)
        }
        return result
    }

    /// Says of which layer an error is.
    private func namingLayers<T>(of image: SourceImage, _ body: () throws -> T) throws -> T {
        do { return try body() } catch let failure as LayerError {
            let (layer, reason) = (image.layers[failure.layer].label, failure.error.description)
            if case .beyondLimit(let option, _) = failure.error { throw ConversionError.beyondLimit(layer: layer, option: option, reason: reason) }
            throw ConversionError.layer(layer, reason: reason)
        }
    }

    private func write(_ squasher: inout Squasher, _ manifest: ImageManifest, _ bytes: [UInt8], _ layers: ImageLayers, _ sink: any ByteSink) throws {
        var writer = try RegionWriter(sink, manifest: bytes) { layers.packed($0) }
        try squasher.write(adding: additions(manifest)) { try writer.write($0, $1, $2) }
        if try squasher.showsLeaf(at: Array("dev".utf8)) { throw ConversionError.devIsNoDirectory }
        try writer.finish()
    }

    /// What a runner needs and images often lack: the console's links in `/dev`, and the working directory, which Docker
    /// makes at start and the appc spec requires to be there.
    private func additions(_ manifest: ImageManifest) -> [TarEntry] {
        let links = [("stdin", "/proc/self/fd/0"), ("stdout", "/dev/console"), ("stderr", "/dev/console"), ("fd", "/proc/self/fd")]
        var result = links.map { TarEntry(path: Array("dev/\($0)".utf8), kind: .symbolicLink, mode: 0o777, linkTarget: Array($1.utf8)) }
        if let directory = manifest.app?.workingDirectory, !directory.utf8.split(separator: UInt8(ascii: "/")).contains(where: { $0.elementsEqual("..".utf8) })
        {
            result.append(TarEntry(path: Array(directory.utf8), kind: .directory, mode: 0o755))
        }
        return result
    }
}
