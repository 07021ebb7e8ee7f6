import AppC
import Archive
import Digest
import Files
import Glibc
import Image

/// Files by their names, in an archive or in a directory, that make up an image.
protocol BlobTree: Sendable {
    /// What messages call all of it.
    var path: String { get }
    /// - Returns: nil where there is no such file.
    func blob(_ name: String) throws -> LayerBlob?
}

extension BlobTree {
    /// Manifests and configurations larger than this are refused.
    private var limit: Int { 16 << 20 }

    /// All bytes of a small file; nil where there is none.
    func bytes(_ name: String) throws -> [UInt8]? {
        guard let blob = try blob(name) else { return nil }
        guard blob.length <= limit else { throw SavedImageError.invalid(path: path, reason: "\(name) is larger than \(limit) bytes") }
        var result = [UInt8](repeating: 0, count: blob.length)
        let source = FileRegion(blob.file, offset: blob.offset, length: blob.length)
        var filled = 0
        while filled < result.count {
            filled += try result.withUnsafeMutableBytes { try source.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[filled...])) }
        }
        return result
    }

    func decoded<T: Decodable>(_ type: T.Type, _ name: String, _ bytes: [UInt8]) throws -> T {
        do { return try CanonicalJSON.decode(type, from: bytes) } catch {
            throw SavedImageError.invalid(path: path, reason: "\(name) is not the JSON that it should be")
        }
    }
}

/// A layout's directory, with those of its files open that others than its owner may not open.
public final class LayoutDirectory: DescriptorOwner {
    let directory: Directory
    fileprivate let files: [String: OpenFile]
    public var descriptor: Int32 { directory.descriptor }

    public init(_ directory: Directory) { (self.directory, files) = (directory, [:]) }

    /// Opens whatever may be needed, without looking into it, so that a process with fewer rights can read it.
    /// - Throws: `FileError`, also for a layout with more files than may be open at once.
    public init(openingFilesOf directory: Directory) throws {
        self.directory = directory
        var files: [String: OpenFile] = [:]
        func isOpen(_ name: String, _ rights: mode_t) throws -> Bool { (try directory.status(name)?.st_mode ?? rights) & rights == rights }
        func open(_ name: String) throws {
            do throws(FileError) { files[name] = try directory.inside(name) } catch { if error.code == EMFILE { throw error } }
        }
        let isClosed = try directory.inside(".").status().st_mode & 0o001 == 0
        for name in ["index.json", "oci-layout"] where try isClosed || !isOpen(name, 0o004) { try open(name) }
        for algorithm in DigestAlgorithm.allCases.map({ "blobs/\($0.rawValue)" }) {
            let isClosed = try isClosed || !isOpen("blobs", 0o001) || !isOpen(algorithm, 0o001)
            guard let blobs = try? directory.directory(algorithm) else { continue }
            for name in try blobs.names().map({ "\(algorithm)/\($0)" }) where try isClosed || !isOpen(name, 0o004) { try open(name) }
        }
        self.files = files
    }
}

/// A directory. Links lead nowhere outside of it.
struct DirectoryTree: BlobTree {
    let layout: LayoutDirectory
    let path: String

    func blob(_ name: String) throws -> LayerBlob? {
        let file: OpenFile
        do throws(FileError) { if let opened = layout.files[name] { file = opened } else { file = try layout.directory.inside(name) } } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
        guard try file.status().st_mode & S_IFMT == S_IFREG else { throw SavedImageError.invalid(path: path, reason: "\(name) is not a file") }
        return LayerBlob(file: file, offset: 0, length: try file.size())
    }
}

/// The members of a tar, read where they lie. Only a compressed archive, or one from a pipe, is unpacked first, to a file in
/// `scratch` that has no name.
struct ArchiveTree: BlobTree {
    let path: String
    private let file: OpenFile
    private let members: [[UInt8]: Member]

    private struct Region {
        var offset: Int
        var length: Int
    }

    private enum Member {
        case region(Region)
        case link([UInt8])
    }

    init(_ opened: OpenFile, path: String, scratch: Directory) throws {
        self.path = path
        file = try Self.plain(opened, path: path, scratch: scratch)
        members = try Self.members(of: file, path: path)
    }

    func blob(_ name: String) throws -> LayerBlob? {
        var current = Array(name.utf8)
        for _ in 0..<8 {
            switch members[current] {
            case nil: return nil
            case .region(let region): return LayerBlob(file: file, offset: region.offset, length: region.length)
            case .link(let target): current = Self.resolve(target, from: current)
            }
        }
        throw SavedImageError.invalid(path: path, reason: "\(name) is a link that never ends")
    }

    /// The directories that have a file of this name.
    func directories(with name: String) -> [String] {
        let end = Array("/\(name)".utf8)
        return members.keys.filter { $0.suffix(end.count).elementsEqual(end) }.map { String(decoding: $0.dropLast(end.count), as: UTF8.self) }.sorted()
    }

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
            throw SavedImageError.unreadable(path: path, reason: error.description)
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
            throw SavedImageError.unreadable(path: path, reason: error.description)
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
}
