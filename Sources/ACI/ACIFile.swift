import AppC
import Archive
import Diagnostics

/// An ACI that isn't one.
public enum ACIError: DiagnosedError, Equatable {
    case badLayout(String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badLayout(let reason):
            Diagnosis("not an App Container Image: \(reason)", hint: "an ACI is a tar, compressed or not, of a file manifest and a directory rootfs")
        }
    }
}

/// Reads App Container Images as they lie in files (appc spec `aci.md#image-layout`).
public enum ACIFile {
    private static let manifestLimit = 16 << 20

    /// Reads the manifest and stops there.
    /// - Throws: ``ACIError``, `ManifestError`, `ArchiveError`.
    public static func manifest(_ source: any ByteSource) throws -> [UInt8] {
        let reader = try TarReader(Decompressor.open(source))
        while let entry = try reader.next() {
            if name(entry) == Array("manifest".utf8) { return try content(entry, reader) }
        }
        throw ACIError.badLayout("it has no manifest")
    }

    /// Whether bytes are an ACI, by the names of their first members: a good one, or one that says so.
    public static func isACI(_ source: any ByteSource) -> Bool {
        guard let reader = try? TarReader(Decompressor.open(source)) else { return false }
        while let entry = try? reader.next() {
            let first = name(entry).prefix { $0 != UInt8(ascii: "/") }
            if first.isEmpty { continue }
            return first.elementsEqual("rootfs".utf8) || name(entry).elementsEqual("manifest".utf8)
        }
        return false
    }

    /// Reads all of it and checks the layout and the manifest, as `actool validate` does.
    /// - Returns: the manifest, and what of it the spec has no meaning for.
    /// - Throws: ``ACIError``, `ManifestError`, `ArchiveError`.
    public static func validate(_ source: any ByteSource) throws -> (manifest: ImageManifest, unknown: [String]) {
        try validate(plain: Decompressor.open(source))
    }

    /// The same, of an uncompressed tar.
    public static func validate(plain: any ByteSource) throws -> (manifest: ImageManifest, unknown: [String]) {
        var result: (manifest: ImageManifest, unknown: [String])?
        var hasRoot = false
        let reader = try TarReader(plain)
        while let entry = try reader.next() {
            let name = name(entry)
            let first = name.prefix { $0 != UInt8(ascii: "/") }
            if name.isEmpty, entry.kind == .directory { continue }
            if name.elementsEqual("manifest".utf8) {
                guard result == nil else { throw ACIError.badLayout("it has two manifests") }
                result = try ManifestReader.image(content(entry, reader))
            } else if first.elementsEqual("rootfs".utf8) {
                if name.count == first.count {
                    guard entry.kind == .directory else { throw ACIError.badLayout("its rootfs is not a directory") }
                    hasRoot = true
                }
                // Everything is read, so that what is cut off is found.
                if entry.kind == .file { try reader.data { _ in } }
            } else {
                throw ACIError.badLayout("it has \"\(String(decoding: name.prefix(60), as: UTF8.self))\" beside manifest and rootfs")
            }
        }
        try plain.drain()
        guard let result else { throw ACIError.badLayout("it has no manifest") }
        guard hasRoot else { throw ACIError.badLayout("it has no rootfs") }
        return result
    }

    /// Copies an ACI with another manifest.
    /// - Parameter sink: gets the uncompressed tar, and is finished.
    /// - Throws: ``ACIError``, `ManifestError`, `ArchiveError`, and errors of `change` and the sink.
    public static func patch(_ source: any ByteSource, to sink: any ByteSink, _ change: (ImageManifest) throws -> ImageManifest) throws {
        let reader = try TarReader(Decompressor.open(source))
        let writer = TarWriter(sink)
        var found = false
        while var entry = try reader.next() {
            guard name(entry).elementsEqual("manifest".utf8) else {
                try writer.header(entry)
                if entry.size > 0 { try reader.data { try writer.data($0) } }
                continue
            }
            guard !found else { throw ACIError.badLayout("it has two manifests") }
            found = true
            let bytes = try ManifestReader.bytes(change(ManifestReader.image(content(entry, reader)).manifest))
            entry.size = Int64(bytes.count)
            try writer.header(entry)
            try bytes.withUnsafeBytes { try writer.data($0) }
        }
        guard found else { throw ACIError.badLayout("it has no manifest") }
        try writer.finish()
    }

    /// The name without `./` and a final slash.
    private static func name(_ entry: TarEntry) -> [UInt8] {
        Array(entry.path.split(separator: UInt8(ascii: "/")).filter { !$0.elementsEqual(".".utf8) }.joined(separator: [UInt8(ascii: "/")]))
    }

    private static func content(_ entry: TarEntry, _ reader: TarReader) throws -> [UInt8] {
        guard entry.kind == .file else { throw ACIError.badLayout("its manifest is not a file") }
        guard entry.size <= manifestLimit else { throw ACIError.badLayout("its manifest has more than \(manifestLimit) bytes") }
        var bytes: [UInt8] = []
        try reader.data { bytes += $0 }
        return bytes
    }
}
