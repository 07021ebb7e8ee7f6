import Accounts
import AppC
import Archive
import Digest
import Files
import Hashing
import Image
import Squash
import Threads

/// Converts one image to one squashed ACI (appc spec `aci.md#image-layout`).
public struct Converter {
    /// What was made, for whoever prints or stores it.
    public struct Result: Sendable {
        public var manifest: ImageManifest
        /// The manifest's bytes as they stand in the ACI.
        public var manifestBytes: [UInt8]
        /// What a person should know about fields that appc can't hold.
        public var warnings: [String]
    }

    private let source: any ImageSource
    private let limits: LayerIndex.Limits

    public init(_ source: any ImageSource, limits: LayerIndex.Limits = .init()) {
        self.source = source
        self.limits = limits
    }

    /// Reads all layers, checks them, and writes the ACI's uncompressed tar to `sink`, which is finished at the end.
    ///
    /// Each layer is read twice: first its headers, to know what of it survives, then its data. Memory grows with the number
    /// of paths, not with data, and nothing is unpacked to disk.
    /// - Throws: ``ConversionError``, and errors of the source and the sink.
    public func convert(to sink: any ByteSink) throws -> Result {
        let image = try source.image()
        let config = try DockerConfig(image.config)
        if let os = config.os, !["linux", "freebsd", "darwin"].contains(os) { throw ConversionError.unsupportedSystem(os) }

        var flattener = Flattener()
        for (index, layer) in try indexLayers(image).enumerated() {
            try inLayer(image.layers[index]) { try flattener.apply(layer) }
        }
        let passwd = try flattener.file(at: Array("etc/passwd".utf8))
        var generator = ManifestGenerator(image: image, config: config) { [self] user in
            try passwd.flatMap { try self.content(image, $0.layer, $0.ordinal) }.flatMap { UserEntry.find(user, in: $0) }.map { String($0.group) }
        }
        let manifest = try generator.manifest()
        try complete(&flattener, manifest)

        let bytes = try CanonicalJSON.encode(manifest)
        try write(SquashPlan(flattener), image, manifest: bytes, to: TarWriter(sink))
        return Result(manifest: manifest, manifestBytes: bytes, warnings: generator.warnings)
    }

    // MARK: Reading

    /// Waits for each layer, reads its headers and checks its diff ID; several layers at a time.
    private func indexLayers(_ image: SourceImage) throws -> [LayerIndex] {
        let indexes = Monitor([LayerIndex?](repeating: nil, count: image.layers.count))
        let (source, limits) = (self.source, self.limits)
        try parallel(count: image.layers.count, workers: processorCount) { number in
            let descriptor = image.layers[number]
            let blob = try source.blob(number)
            let index = try inLayer(descriptor) {
                let hasher = StreamHasher(descriptor.diffID?.algorithm ?? .sha256)
                let tar = ObservedSource(try Decompressor.open(FileRegion(blob.file, offset: blob.offset, length: blob.length))) { hasher.update($0) }
                let index = try LayerIndex(tar, limits: limits)
                // What stands after the end-of-archive blocks counts for the digest.
                try tar.drain()
                let actual = hasher.finish()
                if let expected = descriptor.diffID, expected != actual {
                    throw ConversionError.wrongDiffID(layer: descriptor.label, expected: expected, actual: actual)
                }
                return index
            }
            indexes.update { $0[number] = index }
        }
        return indexes.update { $0.map { $0! } }
    }

    /// A small file of the flattened image; nil where it is larger than any sane one.
    private func content(_ image: SourceImage, _ layer: Int, _ ordinal: Int) throws -> [UInt8]? {
        let reader = try TarReader(open(layer))
        for _ in 0..<ordinal { _ = try reader.next() }
        guard let entry = try reader.next(), entry.size <= 1 << 20 else { return nil }
        var bytes: [UInt8] = []
        try reader.data { bytes.append(contentsOf: $0) }
        return bytes
    }

    private func open(_ layer: Int) throws -> any ByteSource {
        let blob = try source.blob(layer)
        return try Decompressor.open(FileRegion(blob.file, offset: blob.offset, length: blob.length))
    }

    // MARK: Completing the tree

    /// Adds what a runner needs and images often lack: the console's links in `/dev`, and the working directory, which
    /// Docker makes at start and the appc spec requires to be there.
    private func complete(_ flattener: inout Flattener, _ manifest: ImageManifest) throws {
        if let kind = try flattener.kind(of: Array("dev".utf8)), kind != .directory { throw ConversionError.devIsNoDirectory }
        let links = [("stdin", "/proc/self/fd/0"), ("stdout", "/dev/console"), ("stderr", "/dev/console"), ("fd", "/proc/self/fd")]
        for (name, target) in links {
            try flattener.addIfAbsent(TarEntry(path: Array("dev/\(name)".utf8), kind: .symbolicLink, mode: 0o777, linkTarget: Array(target.utf8)))
        }
        if let directory = manifest.app?.workingDirectory, !directory.utf8.split(separator: UInt8(ascii: "/")).contains(where: { $0.elementsEqual("..".utf8) })
        {
            try flattener.addIfAbsent(TarEntry(path: Array(directory.utf8), kind: .directory, mode: 0o755))
        }
    }

    // MARK: Writing

    private func write(_ plan: SquashPlan, _ image: SourceImage, manifest: [UInt8], to tar: TarWriter) throws {
        var entry = TarEntry(path: Array("manifest".utf8), kind: .file, mode: 0o644)
        entry.size = Int64(manifest.count)
        try tar.header(entry)
        try manifest.withUnsafeBytes { try tar.data($0) }

        let rootfs = Array("rootfs/".utf8)
        for var directory in plan.directories {
            directory.path = directory.path.isEmpty ? rootfs : rootfs + directory.path + [UInt8(ascii: "/")]
            try tar.header(directory)
        }
        // A hard link repeats the attributes of what it links to, as tar has it: some readers set them from the link.
        let linked = Set(plan.links.map(\.target))
        var attributes: [[UInt8]: TarEntry] = [:]
        for number in image.layers.indices where plan.needs(layer: number) {
            try inLayer(image.layers[number]) {
                try plan.emit(layer: number, from: ReadAheadSource(try open(number))) { entry, reader in
                    if linked.contains(entry.path) { attributes[entry.path] = entry }
                    var member = entry
                    member.path = rootfs + entry.path
                    try tar.header(member)
                    if member.size > 0 { try reader.data { try tar.data($0) } }
                }
            }
        }
        for var addition in plan.additions {
            addition.path = rootfs + addition.path
            try tar.header(addition)
        }
        for link in plan.links {
            guard var entry = attributes[link.target] else { continue }
            entry.kind = .hardLink
            entry.path = rootfs + link.path
            entry.linkTarget = rootfs + link.target
            entry.size = 0
            entry.xattrs = []
            try tar.header(entry)
        }
        try tar.finish()
    }
}

/// Runs `body` and says of archive errors which layer they are in.
private func inLayer<T>(_ layer: LayerDescriptor, _ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as ArchiveError { throw ConversionError.layer(layer.label, reason: error.description) }
}
