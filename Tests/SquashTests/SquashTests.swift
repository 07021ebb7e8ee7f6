import Archive
import TestSupport
import Testing

@testable import Squash

func file(_ path: String, mode: UInt32 = 0o644) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .file, mode: mode) }
func dir(_ path: String, mode: UInt32 = 0o755) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .directory, mode: mode) }
func link(_ path: String, _ target: String) -> TarEntry { TarEntry(path: Array(path.utf8), kind: .hardLink, mode: 0o644, linkTarget: Array(target.utf8)) }
func symlink(_ path: String, _ target: String) -> TarEntry {
    TarEntry(path: Array(path.utf8), kind: .symbolicLink, mode: 0o777, linkTarget: Array(target.utf8))
}

/// The flattened image as lines in the order of the output: `d path mode`, `f path@layer`, `l path -> target`.
func flatten(_ layers: [[TarEntry]]) throws -> [String] {
    // The owner tells the layer.
    let stack = try Stack(
        layers.enumerated().map { number, layer in
            layer.map { entry in
                var entry = entry
                entry.uid = Int64(number)
                return (entry, [])
            }
        })
    let planned = try squashed(stack, planned: true)
    do { #expect(try squashed(stack, planned: false).map(\.entry) == planned.map(\.entry)) } catch is Squasher.NeedsPlan {}
    return planned.dropFirst().map { entry, _ in
        switch entry.kind {
        case .directory: "d \(text(entry.path)) \(String(entry.mode, radix: 8))"
        case .hardLink: "l \(text(entry.path)) -> \(text(entry.linkTarget))"
        case .symbolicLink: "s \(text(entry.path))@\(entry.uid)"
        default: "f \(text(entry.path))@\(entry.uid)"
        }
    }
}

@Suite struct SquashTests {
    @Test func upperReplacesLower() throws {
        #expect(try flatten([[file("a"), file("b")], [file("a")]]) == ["f a@1", "f b@0"])
    }

    @Test func whiteoutHidesLowerLayersOnly() throws {
        #expect(try flatten([[dir("d"), file("d/x"), file("d/y")], [file("d/x"), file("d/.wh.x"), file("d/.wh.y")]]) == ["d d 755", "f d/x@1"])
        #expect(try flatten([[file("a")], [file(".wh.nothing")]]) == ["f a@0"])
    }

    @Test func opaqueHidesLowerEntriesWhereverItStands() throws {
        #expect(try flatten([[dir("d"), file("d/old")], [dir("d", mode: 0o700), file("d/new"), file("d/.wh..wh..opq")]]) == ["d d 700", "f d/new@1"])
    }

    @Test func directoriesMergeAndUpperAttributesWin() throws {
        #expect(try flatten([[dir("d"), file("d/a")], [dir("d", mode: 0o711), file("d/b")]]) == ["d d 711", "f d/b@1", "f d/a@0"])
        #expect(try flatten([[dir("d", mode: 0o700), file("d/a")], [file("d/b")]]) == ["d d 700", "f d/b@1", "f d/a@0"])
    }

    @Test func symbolicLinksAreNeverFollowed() throws {
        #expect(try flatten([[dir("usr"), symlink("bin", "usr"), file("usr/a")], [file("bin/b")]]) == ["d bin 755", "f bin/b@1", "d usr 755", "f usr/a@0"])
    }

    @Test func lastOfANameWins() throws {
        #expect(try flatten([[file("a"), symlink("a", "b")]]) == ["s a@0"])
    }

    @Test func hardLinksSurviveTheirTarget() throws {
        #expect(try flatten([[file("a"), link("b", "a")]]) == ["f a@0", "l b -> a"])
        #expect(try flatten([[file("a"), link("b", "a"), link("c", "a")], [file(".wh.a")]]) == ["f b@0", "l c -> b"])
        #expect(try flatten([[file("a")], [link("b", "a"), file(".wh.a")]]) == ["f b@0"])
        #expect(try flatten([[file("a"), link("b", "a")], [file("a")]]) == ["f a@1", "f b@0"])
    }

    @Test func badLinksAreErrors() {
        #expect(throws: LayerError.self) { try flatten([[link("b", "nothing")]]) }
        #expect(throws: LayerError.self) { try flatten([[dir("d"), link("b", "d")]]) }
        #expect(throws: LayerError.self) { try flatten([[file("a"), link("b", "../a")]]) }
    }

    @Test func hostileNamesAreErrors() {
        for name in ["../a", "a/../../b", ".wh.", "d/.wh.", String(repeating: "n", count: 256), String(repeating: "a/", count: 2048)] {
            #expect(throws: LayerError.self, "\(name)") { try flatten([[file(name)]]) }
        }
    }

    @Test func namesAreMadeCanonical() throws {
        #expect(try flatten([[dir("./"), dir("./d/"), file("/d//./a")]]) == ["d d 755", "f d/a@0"])
        #expect(try flatten([[file(".wh..wh.plnk"), dir(".wh..wh.aufs"), file(".wh..wh.aufs/x")]]) == [])
    }

    @Test func anEmptyLayerIsAnEmptyTree() throws {
        let stack = Stack(tars: [[], [UInt8](repeating: 0, count: 1024)])
        #expect(try squashed(stack, planned: true).map(\.entry.path) == [[]])
        #expect(try squashed(stack, planned: false).map(\.entry.path) == [[]])
    }

    @Test func memoryIsBounded() throws {
        // Few members, many paths; and attributes that must be remembered.
        let deep = try Stack([(0..<10).map { (file(String(repeating: "\($0)/", count: 2000) + "x"), []) }])
        #expect(throws: LayerError.self) { try squashed(deep, planned: false, limits: Limits(entries: 15000)) }
        #expect(try squashed(deep, planned: false).count == 20011)
        var heavy = dir("d")
        heavy.xattrs = [ExtendedAttribute(name: Array("user.x".utf8), value: [UInt8](repeating: 7, count: 900_000))]
        let attributes = try Stack([(0..<80).map { _ in (heavy, []) }])
        for planned in [true, false] { #expect(throws: LayerError.self) { try squashed(attributes, planned: planned) } }
    }

    @Test func limitsNameTheLayerAndTheEntry() throws {
        let layers = try Stack([[(file("a"), Array("1234567".utf8))], [(file("b"), Array("1234".utf8)), (file("c"), [1])]])
        for planned in [true, false] {
            #expect(try squashed(layers, planned: planned, limits: Limits(size: 12, entries: 3)).count == 4)
            let tooLarge = ArchiveError.beyondLimit(option: "--max-size", reason: "entry \"a\" makes the image larger than 11 bytes")
            #expect(throws: LayerError(layer: 0, error: tooLarge)) { try squashed(layers, planned: planned, limits: Limits(size: 11)) }
            let tooMany = ArchiveError.beyondLimit(option: "--max-entries", reason: "entry \"c\" is number 2 of the image")
            #expect(throws: LayerError(layer: 1, error: tooMany)) { try squashed(layers, planned: planned, limits: Limits(entries: 1)) }
        }
    }
}
