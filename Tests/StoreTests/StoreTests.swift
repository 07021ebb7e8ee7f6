import AppC
import Digest
import Files
import Foundation
import Reference
import Testing

@testable import Store

@Suite struct StoreTests {
    private final class Fixture {
        let path = NSTemporaryDirectory() + "/d2a-test-" + UUID().uuidString
        let store: ImageStore
        init() throws { store = try ImageStore(path: path) }
        deinit { try? FileManager.default.removeItem(atPath: path) }

        @discardableResult func add(_ start: String, name: String? = nil) throws -> ImageID {
            let id = "sha512-" + start + String(repeating: "0", count: 128 - start.count)
            let sha256 = "sha256-" + start + String(repeating: "1", count: 64 - start.count)
            let workspace = try Workspace(store)
            let blob = try workspace.directory.file(Workspace.blobName, O_RDWR | O_CREAT)
            try blob.write("tar of \(start)")
            let manifest = try CanonicalJSON.encode(ImageManifest(name: "a/\(start)"))
            let record = ImageRecord(id: id, sha256: sha256, manifest: ImageManifest(name: "a/\(start)"), size: 10, importTime: 1)
            try store.add(record, manifest: manifest, blob: blob, from: workspace, name: name.map { try ImageReference($0) })
            return ImageID(id)!
        }
    }

    @Test func whatIsAddedIsFound() throws {
        let fixture = try Fixture()
        let id = try fixture.add("ab12", name: "localhost:5000/x/y:v1")
        let store = fixture.store
        #expect(try store.images().map(\.name) == ["a/ab12"])
        #expect(try store.resolve(ImageIDPrefix("sha512-ab")!) == id)
        #expect(try store.resolve(ImageIDPrefix("sha256-ab12")!) == id)
        #expect(try store.resolve(ImageReference("localhost:5000/x/y:v1")) == id)
        #expect(try store.resolve(ImageReference("localhost:5000/x/y:v2")) == nil)
        #expect(try store.manifest(id).name == "a/ab12")
        #expect(try store.blob(id).readAll(limit: 100) == Array("tar of ab12".utf8))
        #expect(FileManager.default.fileExists(atPath: "\(fixture.path)/cas/blob/sha512/ab/\(id)"))
        #expect(try store.root.directory("tmp").names() == [])
    }

    @Test func prefixesMustBeClear() throws {
        let fixture = try Fixture()
        try fixture.add("ab12")
        try fixture.add("ab34")
        #expect(throws: StoreError.ambiguous("sha512-ab", candidates: try fixture.store.images().map { ImageID($0.id)! })) {
            try fixture.store.resolve(ImageIDPrefix("sha512-ab")!)
        }
        #expect(throws: StoreError.prefixTooShort("sha512-a")) { try fixture.store.resolve(ImageIDPrefix("sha512-a")!) }
        #expect(throws: StoreError.noSuchImage("sha512-cd")) { try fixture.store.resolve(ImageIDPrefix("sha512-cd")!) }
    }

    @Test func removalLeavesNothingOfIt() throws {
        let fixture = try Fixture()
        let id = try fixture.add("ab12", name: "localhost/x")
        let other = try fixture.add("cd34")
        _ = try fixture.store.tree([id]) { _ = try $0.make("rootfs") }
        try fixture.store.remove(id)
        #expect(try fixture.store.images().map(\.id) == [other.description])
        #expect(try fixture.store.resolve(ImageReference("localhost/x")) == nil)
        #expect(try fixture.store.resolve(name: "a/ab12", labels: []) == nil && fixture.store.resolve(name: "a/cd34", labels: []) == other)
        let left = FileManager.default.enumerator(atPath: fixture.path + "/cas")!.allObjects as! [String]
        #expect(left.filter { $0.contains("ab12") && !$0.hasPrefix("name") } == [])
    }

    /// Names, URLs and SHA-256 lead to images by the index, which is made anew where it is missing and believed in nothing.
    @Test func theIndexIsAHint() throws {
        let fixture = try Fixture()
        let (one, two) = (try fixture.add("ab12"), try fixture.add("cd34"))
        let store = fixture.store
        func found() throws -> [ImageID?] {
            [
                try store.resolve(name: "a/ab12", labels: []), try store.resolve(url: "https://x/a")?.id, try store.resolve(url: "https://x/b")?.id,
                try? store.resolve(ImageIDPrefix("sha256-cd34")!),
            ]
        }
        for (url, id) in [("https://x/a", one), ("https://x/b", one), ("https://x/a", two)] {
            try store.note(RemoteCopy(url: url, downloadTime: 1, verified: true), of: id)
        }
        #expect(try found() == [one, two, one, two])
        // What is damaged or forgotten in the index is not believed, and mended by the next collection.
        let index = fixture.path + "/cas/index"
        try FileManager.default.removeItem(atPath: index)
        #expect(try found() == [one, two, one, two])
        try store.note(RemoteCopy(url: "https://x/c", downloadTime: 1, verified: true), of: one)
        #expect(try found() == [one, two, one, two])
        for part in try FileManager.default.contentsOfDirectory(atPath: index) {
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(index)/\(part)") {
                let wrong = name.prefix(17) + (name.hasSuffix(one.description) ? two : one).description
                try FileManager.default.moveItem(atPath: "\(index)/\(part)/\(name)", toPath: "\(index)/\(part)/\(wrong)")
            }
        }
        #expect(try found() == [nil, nil, nil, nil])
        _ = try store.collectGarbage(unusedSince: 0)
        #expect(try found() == [one, two, one, two])
        let hints = (FileManager.default.enumerator(atPath: index)!.allObjects as! [String]).filter { $0.contains(".") }
        #expect(hints.count == 7)
    }

    /// However many images there are, only those are read that may be meant.
    @Test func oneOfManyIsFoundWithoutReadingTheRest() throws {
        let fixture = try Fixture()
        let (store, records) = (fixture.store, try fixture.store.root.make("cas/image"))
        let (one, two) = (try fixture.add("ab12", name: "localhost/x"), try fixture.add("cd34"))
        try store.note(RemoteCopy(url: "https://x/a", downloadTime: 1, verified: true), of: one)
        // As many as a large machine has, none of which can be read.
        for number in 0..<10_000 {
            let digits = String(number, radix: 16)
            let file = try records.file("sha512-ff" + String(repeating: "0", count: 126 - digits.count) + digits + ".json", O_WRONLY | O_CREAT)
            try file.write("{")
        }
        #expect(throws: StoreError.self) { try store.images() }
        #expect(try store.resolve(name: "a/ab12", labels: []) == one)
        #expect(try store.resolve(ImageReference("localhost/x")) == one && store.resolve(url: "https://x/a")?.id == one)
        #expect(try store.resolve(ImageIDPrefix("sha512-cd")!) == two && store.resolve(ImageIDPrefix("sha256-cd34")!) == two)
        #expect(try store.open(one).record.id == one.description)
        try store.note(RemoteCopy(url: "https://x/a", downloadTime: 2, verified: true), of: two)
        #expect(try store.resolve(url: "https://x/a")?.id == two)
        try fixture.add("ef56")
        try store.remove(one)
        #expect(try store.resolve(name: "a/ab12", labels: []) == nil)
    }

    @Test func aTreeIsMadeOnceAndWhole() throws {
        struct Broken: Error {}
        let fixture = try Fixture()
        let id = try fixture.add("ab12")
        #expect(throws: Broken.self) {
            try fixture.store.tree([id]) {
                _ = try $0.make("rootfs/half")
                throw Broken()
            }
        }
        var made = 0
        for _ in 0..<2 {
            let tree = try fixture.store.tree([id]) {
                made += 1
                _ = try $0.make("rootfs/bin")
            }
            #expect(try tree.directory.names() == ["bin"])
        }
        #expect(made == 1)
        #expect(try fixture.store.root.directory("cas/tree").names() == [id.description])
    }

    @Test func damageIsNamed() throws {
        let fixture = try Fixture()
        let id = try fixture.add("ab12")
        try fixture.store.root.directory("cas/image").write(Array("{".utf8), atomicallyTo: "\(id).json")
        #expect(throws: StoreError.self) { try fixture.store.images() }
    }
}
