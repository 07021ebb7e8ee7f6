import Foundation
import Testing

/// What the fuzzers begin with, and what once broke something: each by its target, in every run of the tests.
@Suite struct SeedTests {
    private static let directory =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Seeds"

    private static func seeds(_ target: FuzzTarget) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(target)")) ?? []).sorted().map { "\(directory)/\(target)/\($0)" }
    }

    @Test(arguments: FuzzTarget.allCases) func seedsBreakNothing(_ target: FuzzTarget) throws {
        let seeds = Self.seeds(target)
        #expect(!seeds.isEmpty, "Tests/Seeds/\(target) has nothing")
        for seed in seeds {
            let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: seed)))
            target.run(bytes)
            // Cut and damaged, they break nothing either.
            for cut in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 40)) { target.run(Array(bytes[..<cut])) }
            for place in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 60)) {
                var damaged = bytes
                damaged[place] ^= 0x41
                target.run(damaged)
            }
        }
    }
}
