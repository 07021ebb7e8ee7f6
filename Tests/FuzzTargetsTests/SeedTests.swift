import Foundation
import Testing

/// Makes inputs of those that there are: bytes changed, cut out, doubled, moved from one to another, numbers at their limits.
private struct Mutator {
    /// SplitMix64: the same inputs for the same seed everywhere.
    private var state: UInt64
    private let seeds: [[UInt8]]

    init(seed: UInt64, seeds: [[UInt8]]) { (state, self.seeds) = (seed, seeds) }

    private mutating func number(below limit: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((value ^ (value >> 31)) % UInt64(max(1, limit)))
    }

    private mutating func range(of bytes: [UInt8]) -> Range<Int> {
        let start = number(below: bytes.count)
        return start..<min(bytes.count, start + 1 + number(below: number(below: 4) == 0 ? 600 : 16))
    }

    mutating func next() -> [UInt8] {
        var bytes = seeds[number(below: seeds.count)]
        for _ in 0...number(below: 5) {
            guard !bytes.isEmpty else { return bytes }
            let place = range(of: bytes)
            switch number(below: 7) {
            case 0: bytes[place.lowerBound] = UInt8(number(below: 256))
            case 1: bytes[place.lowerBound] ^= 1 << UInt8(number(below: 8))
            case 2: bytes.removeSubrange(place)
            case 3: bytes.insert(contentsOf: bytes[place], at: number(below: bytes.count))
            case 4:
                let other = seeds[number(below: seeds.count)]
                if !other.isEmpty { bytes.replaceSubrange(place, with: other[range(of: other)]) }
            case 5:
                bytes.replaceSubrange(
                    place, with: [[0], [0xFF], Array("-1".utf8), Array("9223372036854775808".utf8), Array("77777777777".utf8)][number(below: 5)])
            default: for index in place { bytes[index] = [0, 0xFF, 0x80, 0x7F, 0x20, 0x2F][number(below: 6)] }
            }
        }
        return bytes
    }
}

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

    /// The short run of every day: seeds changed by chance, each time otherwise, without libFuzzer and the build that it wants. What breaks a
    /// target ends the process, and stands in the file that is named before; `make fuzz` looks on from there.
    @Test(arguments: FuzzTarget.allCases) func changedByChance(_ target: FuzzTarget) throws {
        let variables = ProcessInfo.processInfo.environment
        let seed = variables["D2A_FUZZ_SEED"].flatMap { UInt64($0) } ?? UInt64.random(in: 0...UInt64.max)
        let count = variables["D2A_FUZZ_INPUTS"].flatMap { Int($0) } ?? 300
        let seeds = try Self.seeds(target).map { Array(try Data(contentsOf: URL(fileURLWithPath: $0))) }
        var mutator = Mutator(seed: seed, seeds: seeds)
        let path = "\(NSTemporaryDirectory())/d2a-fuzz-\(target)-\(getpid())"
        print("\(target): D2A_FUZZ_SEED=\(seed); the input that is read stands in \(path)")
        for _ in 0..<count {
            let input = mutator.next()
            try Data(input).write(to: URL(fileURLWithPath: path))
            target.run(input)
        }
        try FileManager.default.removeItem(atPath: path)
    }
}
