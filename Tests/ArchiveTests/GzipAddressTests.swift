import Archive
import TestSupport
import Testing

/// ISA-L once made other bytes of the same ones by where its memory lay: one time in some thousand.
@Suite struct GzipAddressTests {
    @Test func bytesDontDependOnAddresses() throws {
        // A block that lost a match, at its third byte.
        var input = [UInt8](repeating: 0, count: 2560)
        for (offset, text) in [
            (0, "manifest"), (100, "000000644"), (257, "ustar"), (512, #"{"acKind":"ImageManifest","acVersion":"0.8.11","manifest":1,"manifesthash":2}"#),
        ] {
            input.replaceSubrange(offset..<offset + text.utf8.count, with: Array(text.utf8))
        }
        func packed() throws -> [UInt8] {
            let output = Bytes()
            let sink = try GzipSink(output, workers: 1)
            try sink.write(input)
            try sink.finish()
            return output.bytes
        }
        let expected = try packed()
        // Many at once, so that each has memory of its own.
        let sinks = try (0..<3000).map { _ in
            let output = Bytes()
            let compressor = BlockCompressor(level: 2, workers: 0) { output.append($0) }
            try input.withUnsafeBytes { try compressor.write($0) }
            try compressor.finish()
            return (output, compressor)
        }
        let first = sinks[0].0.bytes
        #expect(sinks.allSatisfy { $0.0.bytes == first })
        #expect(expected.count > first.count && Array(expected[10..<10 + first.count]) == first)
    }
}

extension Bytes {
    fileprivate func append(_ block: DeflatedBlock) { block.bytes.withUnsafeBytes { write($0) } }
}
