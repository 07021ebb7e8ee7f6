import AppC
import Archive
import Digest
import Files
import Glibc
import Hashing
import Image
import Reference

/// An image in a file that `docker save` wrote, or a tool that writes the same (skopeo, buildah, bazel).
///
/// Layers are read where they lie in the file. Only a compressed archive is unpacked first, to a file in `scratch` that has
/// no name any more when this initialiser returns.
public final class DockerArchiveSource: ImageSource {
    private let file: OpenFile
    private let described: SourceImage
    private let regions: [Region]

    private struct Region {
        var offset: Int
        var length: Int
    }

    private enum Member {
        case region(Region)
        case link([UInt8])
    }

    /// One image of `manifest.json`.
    private struct ManifestItem: Decodable {
        var Config: String
        var RepoTags: [String]?
        var Layers: [String]
    }

    private struct Config: Decodable {
        struct RootFS: Decodable { var diff_ids: [String]? }
        var rootfs: RootFS?
    }

    /// Manifests and configurations larger than this are refused.
    private static let metadataLimit = 16 << 20

    /// - Parameters:
    ///   - path: what messages call the file.
    ///   - image: `NAME[:TAG]`, needed where the archive holds several images.
    /// - Throws: ``DockerArchiveError``, `FileError`, `ArchiveError`.
    public init(_ opened: OpenFile, path: String, image wanted: String?, scratch: Directory) throws {
        let file = try Self.plain(opened, path: path, scratch: scratch)
        self.file = file
        let members = try Self.members(of: file, path: path)

        func region(_ name: String) throws -> Region? {
            var current = Array(name.utf8)
            for _ in 0..<8 {
                switch members[current] {
                case nil: return nil
                case .region(let region): return region
                case .link(let target): current = Self.resolve(target, from: current)
                }
            }
            throw DockerArchiveError.invalid(path: path, reason: "\(name) is a link that never ends")
        }
        func bytes(_ name: String) throws -> [UInt8]? {
            guard let region = try region(name) else { return nil }
            guard region.length <= Self.metadataLimit else {
                throw DockerArchiveError.invalid(path: path, reason: "\(name) is larger than \(Self.metadataLimit) bytes")
            }
            var result = [UInt8](repeating: 0, count: region.length)
            let source = FileRegion(file, offset: region.offset, length: region.length)
            var filled = 0
            while filled < result.count {
                filled += try result.withUnsafeMutableBytes { try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
            }
            return result
        }
        func decoded<T: Decodable>(_ type: T.Type, _ name: String, _ bytes: [UInt8]) throws -> T {
            do { return try CanonicalJSON.decode(type, from: bytes) } catch {
                throw DockerArchiveError.invalid(path: path, reason: "\(name) is not the JSON that it should be")
            }
        }

        guard let manifest = try bytes("manifest.json") else { throw DockerArchiveError.notAnImage(path: path) }
        let item = try Self.choose(decoded([ManifestItem].self, "manifest.json", manifest), wanted: wanted, path: path)
        guard let config = try bytes(item.chosen.Config) else { throw DockerArchiveError.missing(path: path, member: item.chosen.Config) }
        let digest = StreamHasher.digest(config)
        // `<hex>.json` or `blobs/sha256/<hex>`: the name says what the bytes must be.
        let stem = item.chosen.Config.split(separator: "/").last?.split(separator: ".").first ?? ""
        if let named = Digest(algorithm: .sha256, hex: stem), named != digest {
            throw DockerArchiveError.wrongDigest(path: path, member: item.chosen.Config, actual: digest)
        }
        let diffIDs = try decoded(Config.self, item.chosen.Config, config).rootfs?.diff_ids ?? []
        guard diffIDs.count == item.chosen.Layers.count else {
            throw DockerArchiveError.invalid(path: path, reason: "the configuration names \(diffIDs.count) layers, manifest.json \(item.chosen.Layers.count)")
        }
        var regions: [Region] = []
        var layers: [LayerDescriptor] = []
        for (name, diffID) in zip(item.chosen.Layers, diffIDs) {
            guard let found = try region(name) else { throw DockerArchiveError.missing(path: path, member: name) }
            guard let diffID = Digest(diffID) else { throw DockerArchiveError.invalid(path: path, reason: "\"\(diffID)\" is not a diff ID") }
            regions.append(found)
            layers.append(LayerDescriptor(digest: nil, diffID: diffID, size: found.length))
        }
        self.regions = regions
        described = SourceImage(name: Self.name(item.tag, path: path), config: config, id: digest.description, manifestDigest: nil, layers: layers)
    }

    public func image() -> SourceImage { described }

    public func blob(_ index: Int) -> LayerBlob { LayerBlob(file: file, offset: regions[index].offset, length: regions[index].length) }

    /// The archive itself, or its decompressed copy where it is compressed.
    private static func plain(_ file: OpenFile, path: String, scratch: Directory) throws -> OpenFile {
        var magic = [UInt8](repeating: 0, count: 6)
        let isFile = try file.status().st_mode & S_IFMT == S_IFREG
        let known = isFile ? try magic.withUnsafeMutableBytes { try file.read(into: $0, at: 0) } : 0
        let compressed: [[UInt8]] = [[0x1F, 0x8B], [0x28, 0xB5, 0x2F, 0xFD], Array("BZh".utf8), [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]]
        if isFile, !compressed.contains(where: { magic[..<known].starts(with: $0) }) { return file }
        let copy = try scratch.unnamedFile()
        let sink = FileSink(copy)
        do {
            let source = ObservedSource(try Decompressor.open(FileSource(file))) { try sink.write($0) }
            try source.drain()
            try sink.finish()
        } catch let error as ArchiveError {
            throw DockerArchiveError.unreadable(path: path, reason: error.description)
        }
        return copy
    }

    private static func members(of file: OpenFile, path: String) throws -> [[UInt8]: Member] {
        var result: [[UInt8]: Member] = [:]
        do {
            let reader = try TarReader(FileRegion(file, offset: 0, length: try file.size()))
            var pending: (name: [UInt8], size: Int)?
            while true {
                let entry = try reader.next()
                if let (name, size) = pending {
                    // Data and padding end where the next member's headers begin.
                    result[name] = .region(Region(offset: reader.headerPosition - (size + 511) / 512 * 512, length: size))
                }
                guard let entry else { break }
                let name = normal(entry.path)
                switch entry.kind {
                case .file: pending = (name, Int(entry.size))
                case .symbolicLink:
                    pending = nil
                    result[name] = .link(entry.linkTarget)
                case .hardLink:
                    pending = nil
                    result[name] = .link([UInt8(ascii: "/")] + normal(entry.linkTarget))
                default: pending = nil
                }
            }
        } catch let error as ArchiveError {
            throw DockerArchiveError.unreadable(path: path, reason: error.description)
        }
        return result
    }

    private static func normal(_ name: [UInt8]) -> [UInt8] { resolve(name, from: []) }

    /// A member's name that a link in another member leads to; `..` never leaves the archive.
    private static func resolve(_ target: [UInt8], from name: [UInt8]) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        var components = target.first == slash ? [] : Array(name.split(separator: slash).dropLast())
        for component in target.split(separator: slash) {
            if component.elementsEqual("..".utf8) { _ = components.popLast() } else if !component.elementsEqual(".".utf8) { components.append(component) }
        }
        return Array(components.joined(separator: [slash]))
    }

    private static func choose(_ items: [ManifestItem], wanted: String?, path: String) throws -> (chosen: ManifestItem, tag: String?) {
        let names = items.map { $0.RepoTags?.first ?? $0.Config }
        guard let wanted else {
            guard items.count <= 1 else { throw DockerArchiveError.severalImages(path: path, names: names) }
            guard let only = items.first else { throw DockerArchiveError.notAnImage(path: path) }
            return (only, only.RepoTags?.first)
        }
        let full = wanted.split(separator: "/").last?.contains(":") == true ? wanted : wanted + ":latest"
        for item in items {
            if let tag = item.RepoTags?.first(where: { $0 == full }) { return (item, tag) }
        }
        // Tools write names of the hub in full (`docker.io/library/busybox:latest`); people don't.
        if let name = try? ImageReference(wanted) {
            for item in items {
                for tag in item.RepoTags ?? [] {
                    guard let other = try? ImageReference(tag) else { continue }
                    if (other.registry, other.repository, other.tag) == (name.registry, name.repository, name.tag) { return (item, tag) }
                }
            }
        }
        throw DockerArchiveError.noSuchImage(path: path, name: wanted, names: names)
    }

    /// The name by which the image was saved; an image saved by its id alone is named after the file.
    private static func name(_ tag: String?, path: String) -> ImageName {
        if let tag, let reference = try? ImageReference(tag) {
            // Docker writes no registry for images of the hub, other tools do; none is invented here.
            let explicit = reference.registry != ImageReference.hub || tag.prefix { $0 != "/" }.contains(".")
            let typed = tag.split(separator: "@")[0].split(separator: ":")[0]
            return ImageName(
                registry: explicit ? reference.registry : nil, repository: explicit ? reference.repository : String(typed), tag: reference.tag, original: tag)
        }
        let file = path.split(separator: "/").last.map(String.init) ?? "image"
        let stem = file.split(separator: ".").first.map(String.init) ?? file
        return ImageName(registry: nil, repository: stem, tag: nil, original: file)
    }
}
