import Archive
import TestSupport
import Testing

@testable import Squash

func tar(_ entries: [TarEntry], data: [String: String] = [:]) throws -> [UInt8] {
    let sink = Bytes()
    let writer = TarWriter(sink)
    for var entry in entries {
        let content = Array((data[String(decoding: entry.path, as: UTF8.self)] ?? "").utf8)
        if entry.kind == .file { entry.size = Int64(content.count) }
        try writer.header(entry)
        if !content.isEmpty, entry.kind == .file { try content.withUnsafeBytes { try writer.data($0) } }
    }
    try writer.finish()
    return sink.bytes
}

func file(_ path: String, mode: UInt32 = 0o644) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .file, mode: mode) }
func dir(_ path: String, mode: UInt32 = 0o755) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .directory, mode: mode) }
func link(_ path: String, _ target: String) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .hardLink, mode: 0o644, linkTarget: Array(target.utf8)) }
func symlink(_ path: String, _ target: String) -> TarEntry {
    TarEntry(path: Array(path.utf8), kind: .symbolicLink, mode: 0o777, linkTarget: Array(target.utf8))
}

/// The flattened image as lines: `d path`, `f path@layer`, `l path -> target`.
func flatten(_ layers: [[TarEntry]]) throws -> [String] {
    let tars = try layers.map { try tar($0) }
    var flattener = Flattener()
    for bytes in tars { try flattener.apply(LayerIndex(Bytes(bytes))) }
    let plan = SquashPlan(flattener)
    var lines = plan.directories.dropFirst().map { "d \(String(decoding: $0.path, as: UTF8.self)) \(String($0.mode, radix: 8))" }
    for (number, bytes) in tars.enumerated() {
        try plan.emit(layer: number, from: Bytes(bytes)) { entry, _ in
            lines.append("\(entry.kind == .symbolicLink ? "s" : "f") \(String(decoding: entry.path, as: UTF8.self))@\(number)")
        }
    }
    for link in plan.links { lines.append("l \(String(decoding: link.path, as: UTF8.self)) -> \(String(decoding: link.target, as: UTF8.self))") }
    return lines
}

@Suite struct SquashTests {
    @Test func upperReplacesLower() throws {
        #expect(try flatten([[file("a"), file("b")], [file("a")]]) == ["f b@0", "f a@1"])
    }

    @Test func whiteoutHidesLowerLayersOnly() throws {
        #expect(try flatten([[dir("d"), file("d/x"), file("d/y")], [file("d/x"), file("d/.wh.x"), file("d/.wh.y")]]) == ["d d 755", "f d/x@1"])
        #expect(try flatten([[file("a")], [file(".wh.nothing")]]) == ["f a@0"])
    }

    @Test func opaqueHidesLowerEntriesWhereverItStands() throws {
        #expect(try flatten([[dir("d"), file("d/old")], [dir("d", mode: 0o700), file("d/new"), file("d/.wh..wh..opq")]]) == ["d d 700", "f d/new@1"])
    }

    @Test func directoriesMergeAndUpperAttributesWin() throws {
        #expect(try flatten([[dir("d"), file("d/a")], [dir("d", mode: 0o711), file("d/b")]]) == ["d d 711", "f d/a@0", "f d/b@1"])
        #expect(try flatten([[dir("d", mode: 0o700), file("d/a")], [file("d/b")]]) == ["d d 700", "f d/a@0", "f d/b@1"])
    }

    @Test func symbolicLinksAreNeverFollowed() throws {
        #expect(try flatten([[dir("usr"), symlink("bin", "usr"), file("usr/a")], [file("bin/b")]]) == ["d bin 755", "d usr 755", "f usr/a@0", "f bin/b@1"])
    }

    @Test func lastOfANameWins() throws {
        #expect(try flatten([[file("a"), symlink("a", "b")]]) == ["s a@0"])
    }

    @Test func hardLinksSurviveTheirTarget() throws {
        #expect(try flatten([[file("a"), link("b", "a")]]) == ["f a@0", "l b -> a"])
        #expect(try flatten([[file("a"), link("b", "a"), link("c", "a")], [file(".wh.a")]]) == ["f b@0", "l c -> b"])
        #expect(try flatten([[file("a")], [link("b", "a"), file(".wh.a")]]) == ["f b@0"])
        #expect(try flatten([[file("a"), link("b", "a")], [file("a")]]) == ["f b@0", "f a@1"])
    }

    @Test func badLinksAreErrors() {
        #expect(throws: ArchiveError.self) { try flatten([[link("b", "nothing")]]) }
        #expect(throws: ArchiveError.self) { try flatten([[dir("d"), link("b", "d")]]) }
        #expect(throws: ArchiveError.self) { try flatten([[file("a"), link("b", "../a")]]) }
    }

    @Test func hostileNamesAreErrors() {
        for name in ["../a", "a/../../b", ".wh.", "d/.wh.", String(repeating: "n", count: 256)] {
            #expect(throws: ArchiveError.self, "\(name)") { try flatten([[file(name)]]) }
        }
    }

    @Test func namesAreMadeCanonical() throws {
        #expect(try flatten([[dir("./"), dir("./d/"), file("/d//./a")]]) == ["d d 755", "f d/a@0"])
        #expect(try flatten([[file(".wh..wh.plnk"), dir(".wh..wh.aufs"), file(".wh..wh.aufs/x")]]) == [])
    }

    @Test func anEmptyLayerIsAnEmptyTree() throws {
        var flattener = Flattener()
        try flattener.apply(LayerIndex(Bytes([])))
        try flattener.apply(LayerIndex(Bytes([UInt8](repeating: 0, count: 1024))))
        #expect(SquashPlan(flattener).directories.count == 1)
    }
}
