import Cache
import Digest
import Files
import Foundation
import Hashing
import Testing
import Threads

@testable import Registry

@Suite struct CacheTests {
    private final class Place: @unchecked Sendable {
        let path = NSTemporaryDirectory() + "/d2a-cache-" + UUID().uuidString
        let scratch: Directory
        init() throws { scratch = try Directory.make(path + "/scratch") }
        deinit { try? FileManager.default.removeItem(atPath: path) }
        func cache(limit: Int = 1 << 20) throws -> BlobCache { try BlobCache(directory(), limit: limit) }
        func directory() throws -> CacheDirectory { try #require(CacheDirectory.make(path + "/cache")) }
        func blobs() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path + "/cache/blobs/sha256").sorted() }
    }

    private func bytes(_ seed: UInt8, _ count: Int = 1000) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) &* 7 &+ seed } }

    private func get(_ cache: BlobCache, _ place: Place, _ content: [UInt8], fetched: () throws -> Void = {}) throws -> [UInt8] {
        let digest = StreamHasher.digest(content)
        return try cache.blob(digest, size: content.count, scratch: place.scratch) { file in
            try fetched()
            try content.withUnsafeBytes { try file.write($0) }
            try file.seek(to: 0)
        }.readAll(limit: 1 << 24)
    }

    @Test func aBlobIsFetchedOnce() throws {
        let place = try Place()
        var count = 0
        for _ in 0..<3 { #expect(try get(place.cache(), place, bytes(1)) { count += 1 } == bytes(1)) }
        #expect(count == 1)
        #expect(try place.blobs() == [StreamHasher.digest(bytes(1)).hex])
    }

    @Test func manyAtOnceShareOne() throws {
        let place = try Place()
        let count = Monitor(0)
        try parallel(count: 16, workers: 16) { number in
            // Each has locks of its own, as another process would.
            let content = bytes(UInt8(number % 4))
            let result = try get(place.cache(), place, content) {
                count.update { $0 += 1 }
                usleep(20_000)
            }
            #expect(result == content)
        }
        #expect(count.update { $0 } == 4)
    }

    @Test func whatIsDamagedIsFetchedAgain() throws {
        let place = try Place()
        let name = place.path + "/cache/blobs/sha256/" + StreamHasher.digest(bytes(1)).hex
        for damage in [bytes(2), bytes(1, 999), []] {
            _ = try get(place.cache(), place, bytes(1))
            try Data(damage).write(to: URL(fileURLWithPath: name))
            var count = 0
            #expect(try get(place.cache(), place, bytes(1)) { count += 1 } == bytes(1))
            #expect(count == 1)
        }
        // A link is no blob, wherever it leads.
        try FileManager.default.removeItem(atPath: name)
        try Data(bytes(1)).write(to: URL(fileURLWithPath: place.path + "/elsewhere"))
        try FileManager.default.createSymbolicLink(atPath: name, withDestinationPath: place.path + "/elsewhere")
        var count = 0
        #expect(try get(place.cache(), place, bytes(1)) { count += 1 } == bytes(1))
        #expect(count == 1)
    }

    @Test func whatFailsLeavesNothing() throws {
        struct Failed: Error {}
        let place = try Place()
        #expect(throws: Failed.self) { try get(place.cache(), place, bytes(1)) { throw Failed() } }
        #expect(try place.blobs() == [])
    }

    @Test func theOldestGo() throws {
        let place = try Place()
        let cache = try place.cache(limit: 3500)
        for number in 0..<3 { _ = try get(cache, place, bytes(UInt8(number))) }
        let hex = (0..<5).map { StreamHasher.digest(bytes(UInt8($0))).hex }
        for (number, age) in [(0, 100), (1, 300), (2, 200)] {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -Double(age))], ofItemAtPath: place.path + "/cache/blobs/sha256/" + hex[number])
        }
        _ = try get(cache, place, bytes(3))
        #expect(try place.blobs() == [hex[0], hex[2], hex[3]].sorted())
        // Using is what counts, not fetching.
        _ = try get(cache, place, bytes(2))
        _ = try get(cache, place, bytes(4))
        #expect(try place.blobs() == [hex[2], hex[3], hex[4]].sorted())
        // What is larger than all there may be isn't kept.
        #expect(try get(cache, place, bytes(9, 4000)) == bytes(9, 4000))
        #expect(try place.directory().entries().count == 3 && place.directory().trim(to: 0) == 3000 && place.directory().entries().isEmpty)
    }
}
