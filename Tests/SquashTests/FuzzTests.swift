import Archive
import Foundation
import TestSupport
import Testing
import Threads

@testable import Squash

/// The squasher against the reference, on random stacks. `make fuzz` runs more of them, from another seed each time.
@Suite struct FuzzTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let count = environment["D2A_FUZZ_STACKS"].flatMap { Int($0) } ?? 10_000
    private static let first = environment["D2A_FUZZ_SEED"].flatMap { UInt64($0) } ?? 0

    private enum Verdict: String { case refused, streamed, planned }

    @Test func randomStacksAreWhatTheReferenceShows() throws {
        let verdicts = Monitor<[Verdict: Int]>([:])
        try parallel(count: Self.count, workers: processorCount) { number in
            let verdict = try Self.check(seed: Self.first &+ UInt64(number))
            verdicts.update { $0[verdict, default: 0] += 1 }
        }
        // All three ways are really gone.
        let counts = verdicts.update { $0 }
        for verdict in [Verdict.refused, .streamed, .planned] { #expect(counts[verdict, default: 0] > Self.count / 20, "\(counts)") }
        if Self.count > 10_000 { print("\(Self.count) stacks from seed \(Self.first): \(counts.map { "\($1) \($0.rawValue)" }.sorted())") }
    }

    private struct Mismatch: Error, CustomStringConvertible {
        var description: String
    }

    private static func check(seed: UInt64) throws -> Verdict {
        let layers = randomLayers(seed: seed)
        func mismatch(_ reason: String) -> Mismatch {
            let entries = layers.enumerated().map { number, layer in
                "layer \(number): " + layer.map { "\($0.entry.kind) \(text($0.entry.path)) \(text($0.entry.linkTarget))" }.joined(separator: "; ")
            }
            return Mismatch(description: "seed \(seed): \(reason)\n\(entries.joined(separator: "\n"))")
        }
        let reference = ReferenceFlattener()
        var expected: [String]?
        do {
            for layer in layers { try reference.apply(layer) }
            expected = lines(reference)
        } catch is ReferenceFlattener.Refused {}

        let stack = try Stack(layers)
        let chain: Stack?
        do { chain = try split(stack) } catch is LayerError { chain = nil }
        if (chain == nil) != (expected == nil) { throw mismatch("the splitter \(chain == nil ? "refuses it" : "doesn't refuse it")") }
        if let chain, let expected {
            let rendered = try lines(squashed(chain, planned: true))
            if !rendered.sound || rendered.lines != expected { throw mismatch("split \(difference(rendered.lines, expected))") }
            let again = try? lines(squashed(chain, planned: false))
            if let again, again.lines != expected { throw mismatch("split and streamed \(difference(again.lines, expected))") }
        }
        var planned: [(entry: TarEntry, content: [UInt8])]?
        do { planned = try squashed(stack, planned: true) } catch is LayerError {}
        guard let expected else {
            if planned != nil { throw mismatch("the reference refuses it, the squasher doesn't") }
            if let streamed = try? squashed(stack, planned: false) { throw mismatch("streaming doesn't refuse it: \(lines(streamed))") }
            return .refused
        }
        guard let planned else { throw mismatch("the squasher refuses it, the reference doesn't") }
        let result = lines(planned)
        if !result.sound { throw mismatch("the order is wrong: \(planned.map { text($0.entry.path) })") }
        if result.lines != expected { throw mismatch("squashed \(difference(result.lines, expected))") }
        do {
            let streamed = try squashed(stack, planned: false)
            let same = streamed.count == planned.count && zip(streamed, planned).allSatisfy { $0.entry == $1.entry && $0.content == $1.content }
            if !same { throw mismatch("streamed otherwise than planned: \(difference(lines(streamed).lines, result.lines))") }
            return .streamed
        } catch is Squasher.NeedsPlan { return .planned }
    }

    private static func difference(_ a: [String], _ b: [String]) -> String {
        "+ \(Set(a).subtracting(b).sorted()) - \(Set(b).subtracting(a).sorted())"
    }
}
