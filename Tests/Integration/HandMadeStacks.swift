import Archive
import Digest
import Foundation
import Hashing
import TestSupport

/// A stack of layers made by hand, to see what every tool shows of it.
struct HandMadeStack {
    var name: String
    var layers: [[TarEntry]]

    /// The content of a file tells where it stands.
    static func content(layer: Int, ordinal: Int) -> [UInt8] { Array("\(layer):\(ordinal)".utf8) }

    init(_ name: String, _ layers: [TarEntry]...) {
        self.name = name
        self.layers = layers.enumerated().map { number, layer in
            layer.enumerated().map { ordinal, entry in
                var entry = entry
                if entry.uid == 0 { (entry.uid, entry.gid) = (Int64(number) + 1, 7) }
                if entry.mtime == 0 { entry.mtime = 1_000_000_000 + Int64(number) * 100 }
                if entry.kind == .file { entry.size = Int64(Self.content(layer: number, ordinal: ordinal).count) }
                return entry
            }
        }
    }

    /// Writes it as `docker save` does.
    func write(to path: String) throws {
        let tars = try layers.enumerated().map { number, layer in
            try Self.tar(layer.enumerated().map { ($1, $1.kind == .file ? Self.content(layer: number, ordinal: $0) : []) })
        }
        let names = tars.map { Self.sha256($0) }
        let config =
            #"{"architecture":"amd64","os":"linux","config":{"Cmd":["/none"]},"rootfs":{"type":"layers","diff_ids":["#
            + names.map { #""sha256:\#($0)""# }.joined(separator: ",") + "]}}"
        let configName = Self.sha256(Array(config.utf8)) + ".json"
        let manifest =
            #"[{"Config":"\#(configName)","RepoTags":["stack:\#(name)"],"Layers":["# + names.map { #""\#($0)/layer.tar""# }.joined(separator: ",") + "]}]"
        var members: [(TarEntry, [UInt8])] = []
        for (name, tar) in Set(zip(names, tars).map { Member(name: $0, bytes: $1) }).map({ ($0.name, $0.bytes) }) {
            members.append((Self.file("\(name)/layer.tar", size: tar.count), tar))
        }
        members.append((Self.file(configName, size: config.utf8.count), Array(config.utf8)))
        members.append((Self.file("manifest.json", size: manifest.utf8.count), Array(manifest.utf8)))
        try Data(Self.tar(members)).write(to: URL(fileURLWithPath: path))
    }

    private struct Member: Hashable {
        var name: String
        var bytes: [UInt8]
    }

    private static func file(_ name: String, size: Int) -> TarEntry { TarEntry(path: Array(name.utf8), kind: .file, mode: 0o644, size: Int64(size)) }

    private static func tar(_ members: [(TarEntry, [UInt8])]) throws -> [UInt8] {
        let sink = Bytes()
        let writer = TarWriter(sink)
        for (entry, content) in members {
            try writer.header(entry)
            if !content.isEmpty { try content.withUnsafeBytes { try writer.data($0) } }
        }
        try writer.finish()
        return sink.bytes
    }

    private static func sha256(_ bytes: [UInt8]) -> String {
        let hasher = StreamHasher(.sha256)
        bytes.withUnsafeBytes { hasher.update($0) }
        return hasher.finish().hex
    }
}

private func f(_ path: String, mode: UInt32 = 0o644) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .file, mode: mode) }
private func d(_ path: String, mode: UInt32 = 0o755) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .directory, mode: mode) }
private func l(_ path: String, _ target: String) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .hardLink, mode: 0o644, linkTarget: Array(target.utf8)) }
private func s(_ path: String, _ target: String) -> TarEntry {
    TarEntry(path: Array(path.utf8), kind: .symbolicLink, mode: 0o777, linkTarget: Array(target.utf8))
}
private func other(_ path: String, _ kind: TarEntry.Kind, _ change: (inout TarEntry) -> Void = { _ in }) -> TarEntry {
    var entry = TarEntry(path: Array(path.utf8), kind: kind, mode: 0o640)
    change(&entry)
    return entry
}

extension HandMadeStack {
    static let all: [HandMadeStack] = [
        HandMadeStack("plain", [d("a"), f("a/x"), f("top")]),
        HandMadeStack("file-over-file", [f("a")], [f("a", mode: 0o600)]),
        HandMadeStack("whiteout-file", [d("a"), f("a/x"), f("a/y")], [d("a"), f("a/.wh.x")]),
        HandMadeStack("whiteout-directory", [d("a"), d("a/b"), f("a/b/x")], [d("a"), f("a/.wh.b")]),
        HandMadeStack("whiteout-then-same-name", [f("a")], [f(".wh.a"), f("a")]),
        HandMadeStack("same-name-then-whiteout", [f("a")], [f("a"), f(".wh.a")]),
        HandMadeStack("whiteout-then-new-directory", [d("a"), f("a/old")], [f(".wh.a"), d("a"), f("a/new")]),
        HandMadeStack("whiteout-of-nothing", [f("a")], [f(".wh.b")]),
        HandMadeStack("whiteout-in-missing-directory", [f("a")], [f("d/.wh.b")]),
        HandMadeStack("whiteout-without-its-directory", [d("d", mode: 0o700), f("d/x"), f("d/y")], [f("d/.wh.x")]),
        HandMadeStack("whiteout-below-file", [f("d")], [f("d/.wh.x")]),
        HandMadeStack("whiteout-twice", [f("a"), f("b")], [f(".wh.a")], [f(".wh.a"), f(".wh.b")]),
        HandMadeStack("back-after-whiteout", [f("a")], [f(".wh.a")], [f("a")]),
        HandMadeStack("opaque-first", [d("a"), f("a/old")], [d("a"), f("a/.wh..wh..opq"), f("a/new")]),
        HandMadeStack("opaque-last", [d("a"), f("a/old")], [d("a"), f("a/new"), f("a/.wh..wh..opq")]),
        HandMadeStack("opaque-empty", [d("a"), d("a/b"), f("a/b/x")], [d("a"), f("a/.wh..wh..opq")]),
        HandMadeStack("opaque-twice", [d("a"), f("a/1")], [d("a"), f("a/2"), f("a/.wh..wh..opq")], [d("a"), f("a/.wh..wh..opq"), f("a/3")]),
        HandMadeStack("opaque-keeps-siblings", [d("a"), f("a/x"), d("b"), f("b/x")], [d("a"), f("a/.wh..wh..opq")]),
        HandMadeStack("aufs-bookkeeping", [f("a"), f(".wh..wh.aufs"), d(".wh..wh.plnk"), f(".wh..wh.plnk/1.2")]),
        HandMadeStack("directory-over-file", [f("a")], [d("a"), f("a/x")]),
        HandMadeStack("file-over-directory", [d("a"), f("a/x")], [f("a")]),
        HandMadeStack("link-over-directory", [d("a"), f("a/x"), d("b")], [s("a", "b")]),
        HandMadeStack("directory-over-link", [d("b"), f("b/x"), s("a", "b")], [d("a"), f("a/y")]),
        HandMadeStack("directory-file-directory", [d("a"), f("a/1")], [f("a")], [d("a"), f("a/3")]),
        HandMadeStack("directories-merge", [d("a", mode: 0o700), f("a/1")], [d("a", mode: 0o711), f("a/2")]),
        HandMadeStack("unnamed-parent-of-lower", [d("a", mode: 0o700), f("a/1")], [f("a/2")]),
        HandMadeStack("unnamed-parent", [f("a/b/x")]),
        HandMadeStack("unnamed-parent-of-hidden", [f("a/x"), f("top")], [f("a/.wh.x")]),
        HandMadeStack("lower-link-as-parent", [d("usr"), d("usr/bin"), s("bin", "usr/bin"), f("usr/bin/a")], [f("bin/b")]),
        HandMadeStack("own-link-as-parent", [d("usr"), d("usr/bin"), s("bin", "usr/bin"), f("bin/b")]),
        HandMadeStack("own-file-as-parent", [f("a"), f("a/b")]),
        HandMadeStack("escape-by-link", [s("out", "/tmp"), f("out/escaped-by-link")]),
        HandMadeStack("twice", [f("a"), f("a", mode: 0o600)]),
        HandMadeStack("file-then-directory", [f("a"), d("a"), f("a/x")]),
        HandMadeStack("directory-then-file", [d("a"), f("a/x"), f("a")]),
        HandMadeStack("child-before-directory", [f("a/x"), d("a", mode: 0o700)]),
        HandMadeStack("hard-link", [f("a"), l("b", "a"), d("c"), l("c/d", "a")]),
        HandMadeStack("hard-link-to-hard-link", [f("a"), l("b", "a"), l("c", "b")]),
        HandMadeStack("hard-link-to-link", [s("a", "nowhere"), l("b", "a")]),
        HandMadeStack("hard-link-target-replaced", [f("a"), l("b", "a"), l("c", "a")], [f("a")]),
        HandMadeStack("hard-link-target-hidden", [f("z"), l("b", "z"), l("c", "z")], [f(".wh.z")]),
        HandMadeStack("hard-link-hidden", [f("a"), l("b", "a"), l("c", "a")], [f(".wh.b")]),
        HandMadeStack("hard-link-into-lower-layer", [f("a")], [l("b", "a")]),
        HandMadeStack("hard-link-before-target", [l("b", "a"), f("a")]),
        HandMadeStack("hard-link-to-directory", [d("a"), l("b", "a")]),
        HandMadeStack("hard-link-to-nothing", [l("b", "a")]),
        HandMadeStack("hard-link-outside", [l("b", "../../etc/passwd")]),
        HandMadeStack("parent-in-name", [f("../a")]),
        HandMadeStack("links", [s("absolute", "/etc/passwd"), s("dangling", "../../x"), s("self", "self")]),
        HandMadeStack(
            "devices",
            [
                other("null", .characterDevice) { ($0.deviceMajor, $0.deviceMinor) = (1, 3) },
                other("disk", .blockDevice) { ($0.deviceMajor, $0.deviceMinor) = (7, 300) }, other("pipe", .fifo),
            ]),
        HandMadeStack("modes", [f("setuid", mode: 0o4755), f("setgid", mode: 0o2755), d("sticky", mode: 0o1777), f("none", mode: 0), d("closed", mode: 0)]),
        HandMadeStack("owners", [other("large", .file) { ($0.uid, $0.gid) = (3_000_000_000, 4_000_000_000) }]),
        HandMadeStack(
            "times",
            [
                other("old", .file) { $0.mtime = -86400 },
                other("fraction", .file) { ($0.mtime, $0.mtimeNanoseconds) = (1_234_567_890, 123_456_789) },
                other("far", .file) { $0.mtime = 0x2_0000_0000 },
            ]),
        HandMadeStack("names", [other("x", .file) { $0.path = [0xFF, 0xFE, 0x41] }, f("é"), f("e\u{301}"), f("a b"), f("new\nline"), f("-dash")]),
        HandMadeStack("long-names", [d(long), f(long + "/" + long), s(long + "/link", long + "/" + long), l(long + "/hard", long + "/" + long)]),
        HandMadeStack("spellings", [d("./a/"), f("./a//x"), f("/a/./y"), d("a/z//")]),
        HandMadeStack("root", [d("./", mode: 0o711), f("a")], [f("b")]),
        HandMadeStack("empty-layer", [f("a")], [], [f("b")]),
        HandMadeStack(
            "capability",
            [
                other("ping", .file) {
                    let value: [UInt8] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                    $0.xattrs = [ExtendedAttribute(name: Array("security.capability".utf8), value: value)]
                }
            ]),
    ]

    private static let long = String(repeating: "n", count: 200)
}
