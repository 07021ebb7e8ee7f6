import Archive

/// Writes an App Container Image's uncompressed tar: the manifest first, then `rootfs` (appc spec `aci.md#image-layout`).
public struct ACIWriter {
    private static let rootfs = Array("rootfs".utf8)
    private let tar: TarWriter

    /// - Throws: errors of the sink.
    public init(_ sink: any ByteSink, manifest: [UInt8]) throws {
        tar = TarWriter(sink)
        var entry = TarEntry(path: Array("manifest".utf8), kind: .file, mode: 0o644)
        entry.size = Int64(manifest.count)
        try tar.header(entry)
        try manifest.withUnsafeBytes { try tar.data($0) }
    }

    /// Writes an entry of the rootfs, whose path is empty for the root directory itself.
    public func write(_ entry: TarEntry, _ reader: (any MemberReader)?) throws {
        let member = Self.member(entry)
        try tar.header(member)
        if member.size > 0 { try reader?.data { try tar.data($0) } }
    }

    /// Ends the tar and finishes the sink.
    public func finish() throws { try tar.finish() }

    /// An entry of the rootfs as it stands in the archive.
    public static func member(_ entry: TarEntry) -> TarEntry {
        var member = entry
        member.path = inRootfs(entry.path)
        if entry.kind == .directory { member.path.append(UInt8(ascii: "/")) }
        if entry.kind == .hardLink { member.linkTarget = inRootfs(entry.linkTarget) }
        return member
    }

    private static func inRootfs(_ path: [UInt8]) -> [UInt8] { path.isEmpty ? rootfs : rootfs + [UInt8(ascii: "/")] + path }
}
