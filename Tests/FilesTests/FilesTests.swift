import Foundation
import Testing
import Threads

@testable import Files

/// A directory of the test's own that goes with it.
final class Scratch {
    let path: String
    let directory: Directory
    init() throws {
        path = NSTemporaryDirectory() + "/d2a-test-" + UUID().uuidString
        directory = try Directory.make(path)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct DirectoryTests {
    @Test func removalNeverFollowsLinks() throws {
        let scratch = try Scratch()
        let outside = try scratch.directory.make("outside")
        try outside.write(Array("kept".utf8), atomicallyTo: "file")
        let tree = try scratch.directory.make("tree/deep")
        #expect(symlink("\(scratch.path)/outside", "\(tree.path)/link") == 0)
        #expect(chmod(tree.path, 0) == 0)
        try scratch.directory.removeTree("tree")
        #expect(!scratch.directory.exists("tree"))
        #expect(outside.exists("file"))
    }

    @Test func insideNothingLeadsOut() throws {
        let scratch = try Scratch()
        try scratch.directory.write(Array("secret".utf8), atomicallyTo: "passwd")
        let root = try scratch.directory.make("root/etc")
        try root.write(Array("own".utf8), atomicallyTo: "real")
        #expect(symlink("../../passwd", "\(root.path)/up") == 0)
        #expect(symlink("/etc/real", "\(root.path)/absolute") == 0)
        let inside = try scratch.directory.directory("root")
        #expect(throws: FileError.self) { try inside.inside("etc/up") }
        #expect(try inside.inside("etc/absolute").readAll(limit: 10) == Array("own".utf8))
        #expect(throws: FileError.self) { try scratch.directory.directory("root/etc/absolute") }
    }

    @Test func atomicWriteReplacesAndLeavesNothing() throws {
        let scratch = try Scratch()
        try scratch.directory.write([1], atomicallyTo: "a")
        try scratch.directory.write([2, 3], atomicallyTo: "a")
        #expect(try scratch.directory.file("a").readAll(limit: 10) == [2, 3])
        #expect(try scratch.directory.names() == ["a"])
    }

    @Test func readingIsBounded() throws {
        let scratch = try Scratch()
        try scratch.directory.write([UInt8](repeating: 7, count: 100), atomicallyTo: "a")
        #expect(throws: FileError.self) { try scratch.directory.file("a").readAll(limit: 99) }
    }

    @Test func theDeadAreSweptAndTheLivingStay() throws {
        let scratch = try Scratch()
        _ = try scratch.directory.make("dead/deep")
        let living = try LockedDirectory(in: scratch.directory) { "living" }
        #expect(try scratch.directory.names() == ["living"])
        LockedDirectory.sweep(scratch.directory)
        #expect(scratch.directory.exists("living"))
        try living.remove()
        #expect(try scratch.directory.names() == [])
    }

    @Test func lockedDirectoriesDontSweepEachOther() throws {
        let scratch = try Scratch()
        let directory = scratch.directory
        try parallel(count: 1000, workers: 16) { _ in
            let locked = try LockedDirectory(in: directory) { UUID().uuidString }
            _ = try locked.directory.make("inside")
            try locked.remove()
        }
        #expect(try directory.names() == [])
    }
}
