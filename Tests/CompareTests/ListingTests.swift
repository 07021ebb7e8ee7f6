import Compare
import Files
import Foundation
import Listing
import Testing

@Suite struct ListingTests {
    private let scratch: Directory
    init() throws { scratch = try Directory.open(NSTemporaryDirectory()) }

    private func file(_ path: String, _ change: (inout ListedEntry) -> Void = { _ in }) -> ListedEntry {
        var entry = ListedEntry(path: Array(path.utf8), kind: .file, mode: 0o644, uid: 0, gid: 0, seconds: 1, nanoseconds: 2)
        entry.sha256 = Array("00".utf8)
        change(&entry)
        return entry
    }

    private func listing(_ entries: [ListedEntry], links: [(String, String)] = [], runSize: Int = 1 << 20) throws -> ListingReader {
        let writer = ListingWriter(scratch: scratch, runSize: runSize)
        for (path, target) in links { writer.addLink(Array(path.utf8), to: Array(target.utf8)) }
        for entry in entries { try writer.add(entry) }
        let file = try scratch.unnamedFile()
        try writer.finish(into: file)
        return ListingReader(file)
    }

    private func all(_ reader: ListingReader) throws -> [ListedEntry] {
        var result: [ListedEntry] = []
        while let entry = try reader.next() { result.append(entry) }
        return result
    }

    @Test func entriesComeBackSortedFromManyRuns() throws {
        var generator = SystemRandomNumberGenerator()
        var entries = (0..<500).map { number in
            file("d\(number % 7)/\(number)") {
                $0.attributes = [.init(name: [0xFF, 1], value: [0, 255])]
                ($0.seconds, $0.size, $0.mode) = (Int64(-number), Int64(number) << 33, UInt32(number))
            }
        }
        entries += ["d1", "d1-x", "d1.x", "a\u{1}"].map { file($0) }
        let expected = entries.sorted {
            $0.path.split(separator: 0x2F).map { Array($0) }.lexicographicallyPrecedes($1.path.split(separator: 0x2F).map { Array($0) }) {
                $0.lexicographicallyPrecedes($1)
            }
        }
        entries.shuffle(using: &generator)
        #expect(try all(listing(entries, runSize: 2000)) == expected)
        #expect(try all(listing(entries)) == expected)
    }

    @Test func allNamesOfAFileKnowTheFirst() throws {
        let result = try all(listing([file("m") { $0.size = 5 }, file("z")], links: [("q", "m"), ("b", "q")], runSize: 1))
        #expect(result.map { String(decoding: $0.path, as: UTF8.self) } == ["b", "m", "q", "z"])
        #expect(result.map { String(decoding: $0.firstName, as: UTF8.self) } == ["b", "b", "b", ""])
        #expect(result.map(\.size) == [5, 5, 5, 0])
        #expect(throws: ListingError.noTarget(path: Array("x".utf8), target: Array("nothing".utf8))) { try listing([file("m")], links: [("x", "nothing")]) }
        #expect(throws: ListingError.self) { try listing([file("m")], links: [("x", "y"), ("y", "x")]) }
    }

    @Test func whatIsCutOffIsNoListing() throws {
        let whole = try scratch.unnamedFile()
        let writer = ListingWriter(scratch: scratch)
        try writer.add(file("some/path"))
        try writer.finish(into: whole)
        try whole.seek(to: 0)
        let bytes = try whole.readAll(limit: 1 << 20)
        for count in 1..<bytes.count {
            let part = try OpenFile.inMemory("listing", Array(bytes.prefix(count)))
            #expect(throws: ListingError.damaged) { try all(ListingReader(part)) }
        }
        for position in bytes.indices {
            var changed = bytes
            changed[position] = 0xFF
            // Whatever a helper writes: an entry or an error, never a crash.
            _ = try? all(ListingReader(OpenFile.inMemory("listing", changed)))
        }
    }

    @Test func comparisonFindsEachFieldOnce() throws {
        let same = (0..<50).map { file("same/\($0)") }
        func directory(_ path: String) -> ListedEntry { file(path) { $0.kind = .directory } }
        let left =
            same + [
                file("mode"), file("owner"), file("time"), file("content"),
                file("attribute") { $0.attributes = [.init(name: Array("user.a".utf8), value: [1])] },
                file("kind"), directory("only"), file("only/a"), file("only/b/c"), directory("only/b"), file("link"), file("twin"),
            ]
        let right =
            same + [
                file("mode") { $0.mode = 0o755 }, file("owner") { $0.uid = 7 }, file("time") { $0.nanoseconds = 3 }, file("content") { $0.sha256 = [] },
                file("attribute") { $0.attributes = [.init(name: Array("user.a".utf8), value: [2])] }, directory("kind"), file("kind/below"), file("link"),
            ]
        let part = try TreeComparison.compare(
            listing(left), listing(right, links: [("twin", "link")]), into: Part(.filesystem, left: "a", right: "b"))
        #expect(
            part.differences.map { "\($0.subject) \($0.field) \($0.left ?? "none") \($0.right ?? "none")" } == [
                "attribute user.a 0x01 0x02", "content content 0 bytes sha256:00 0 bytes sha256:", "kind kind file 0644 0:0, 0 bytes directory 0644 0:0",
                "kind/below  none file 0644 0:0, 0 bytes", "link links one name a name of link", "mode mode 0644 0755",
                "only  directory 0644 0:0 with 3 below none", "owner owner 0:0 7:0",
                "time time 1970-01-01T00:00:01.000000002Z 1970-01-01T00:00:01.000000003Z", "twin links one name a name of link",
            ])
        #expect(part.compared == 63)
        let ignoring = try TreeComparison.compare(
            listing(left), listing(right), into: Part(.filesystem, left: "a", right: "b"), ignoring: [.mode, .owner, .time, .presence, .attribute, .kind])
        #expect(ignoring.differences.map(\.subject) == ["content"])
    }

    @Test func manyDifferencesAreCountedButNotKept() throws {
        let left = (0..<Part.limit + 5).map { file("f\($0)") }
        let part = try TreeComparison.compare(listing(left), listing([]), into: Part(.filesystem, left: "a", right: "b"))
        #expect(part.differences.count == Part.limit)
        #expect((part.total, part.mattering, part.omitted) == (Part.limit + 5, Part.limit + 5, 5))
    }
}
