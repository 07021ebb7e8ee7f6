import Accounts
import AppC
import Archive
import Image
import Squash

/// Converts one image to one squashed ACI (appc spec `aci.md#image-layout`).
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

    public init(_ source: any ImageSource, limits: Limits = Limits()) {
        self.source = source
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
        let config = try DockerConfig(image.config)
        try Self.checkSystem(config)
        do {
            let layers = ImageLayers(image, source)
            var squasher = Squasher(layers, limits: limits)
            // Only a user's name without a group makes it look into the image before the manifest is known.
            var generator = ManifestGenerator(image: image, config: config) { user in
                try squasher.plan()
                guard let passwd = try squasher.origin(of: Array("etc/passwd".utf8)) else { return nil }
                return try layers.content(passwd.layer, passwd.ordinal).flatMap { UserEntry.find(user, in: $0) }.map { String($0.group) }
            }
            let manifest = try generator.manifest()
            let bytes = try ManifestReader.bytes(manifest)
            do { try write(&squasher, manifest, bytes, TarWriter(makeSink())) } catch is Squasher.NeedsPlan {
                try squasher.plan()
                try write(&squasher, manifest, bytes, TarWriter(makeSink()))
            }
            return Result(manifest: manifest, manifestBytes: bytes, notes: generator.notes)
        } catch let failure as LayerError {
            let (layer, reason) = (image.layers[failure.layer].label, failure.error.description)
            if case .beyondLimit(let option, _) = failure.error { throw ConversionError.beyondLimit(layer: layer, option: option, reason: reason) }
            throw ConversionError.layer(layer, reason: reason)
        }
    }

    /// - Throws: ``ConversionError/unsupportedSystem(_:)``
    static func checkSystem(_ config: DockerConfig) throws {
        if let os = config.os, !os.isEmpty, Architecture.valid[os] == nil { throw ConversionError.unsupportedSystem(os) }
    }

    private func write(_ squasher: inout Squasher, _ manifest: ImageManifest, _ bytes: [UInt8], _ tar: TarWriter) throws {
        var entry = TarEntry(path: Array("manifest".utf8), kind: .file, mode: 0o644)
        entry.size = Int64(bytes.count)
        try tar.header(entry)
        try bytes.withUnsafeBytes { try tar.data($0) }

        let rootfs = Array("rootfs".utf8)
        let slash = UInt8(ascii: "/")
        try squasher.write(adding: additions(manifest)) { entry, reader in
            var member = entry
            member.path = entry.path.isEmpty ? rootfs : rootfs + [slash] + entry.path
            if entry.kind == .directory { member.path.append(slash) }
            if entry.kind == .hardLink { member.linkTarget = rootfs + [slash] + entry.linkTarget }
            try tar.header(member)
            if member.size > 0 { try reader?.data { try tar.data($0) } }
        }
        if try squasher.showsLeaf(at: Array("dev".utf8)) { throw ConversionError.devIsNoDirectory }
        try tar.finish()
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
