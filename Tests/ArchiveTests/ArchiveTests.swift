import Archive
import Files
import Glibc
import TestSupport
import Testing

/// Bytes that compress about as well as programs do, the same every time.
func sample(_ count: Int) -> [UInt8] {
    var state: UInt64 = 42
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: (state >> 33) & (state >> 41))
    }
}

@Suite struct GzipTests {
    @Test(arguments: [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000]) func roundTrip(_ size: Int) throws {
        let input = sample(size)
        let output = Bytes()
        let sink = try GzipSink(output)
        try sink.write(input)
        try sink.finish()
        #expect(try readAll(Decompressor.open(Bytes(output.bytes))) == input)
    }

    @Test func bytesDontDependOnThreads() throws {
        let input = sample(4_000_000)
        let results = try [1, 2, 5].map { workers in
            let output = Bytes()
            let sink = try GzipSink(output, workers: workers)
            try sink.write(input)
            try sink.finish()
            return output.bytes
        }
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
    }

    @Test func membersFollowEachOther() throws {
        let output = Bytes()
        for part in ["one ", "two"] {
            let sink = try GzipSink(output)
            try sink.write(Array(part.utf8))
            try sink.finish()
        }
        #expect(try readAll(Decompressor.open(Bytes(output.bytes + [0, 0, 0]))) == Array("one two".utf8))
    }

    @Test func damageIsNoticed() throws {
        let output = Bytes()
        let sink = try GzipSink(output)
        try sink.write(sample(100_000))
        try sink.finish()
        #expect(throws: ArchiveError.truncated) { try readAll(Decompressor.open(Bytes(Array(output.bytes.dropLast(9))))) }
        var damaged = output.bytes
        damaged[damaged.count - 6] ^= 1
        #expect(throws: ArchiveError.self) { try readAll(Decompressor.open(Bytes(damaged))) }
    }
}

@Suite struct FilterTests {
    @Test(arguments: [FilterSink.Codec.xz, .bzip2, .zstd], [0, 1, 500_000]) func roundTrip(_ codec: FilterSink.Codec, _ size: Int) throws {
        let input = sample(size)
        let output = Bytes()
        let sink = try FilterSink(output, codec: codec, level: 1)
        try sink.write(input)
        try sink.finish()
        #expect(output.bytes.count < max(100, size))
        #expect(try readAll(Decompressor.open(Bytes(output.bytes))) == input)
        #expect(throws: ArchiveError.self) { try readAll(Decompressor.open(Bytes(Array(output.bytes.dropLast(5))))) }
    }

    @Test func errorsOfTheSinkArrive() throws {
        struct Full: Error {}
        final class FullSink: ByteSink {
            func write(_ bytes: UnsafeRawBufferPointer) throws { throw Full() }
            func finish() {}
        }
        #expect(throws: Full.self) {
            let sink = try FilterSink(FullSink(), codec: .zstd, level: 3)
            try sink.write(sample(500_000))
            try sink.finish()
        }
    }
}

@Suite struct TarTests {
    @Test func everyAttributeSurvives() throws {
        var entries = [
            TarEntry(path: Array("d/".utf8), kind: .directory, mode: 0o1777, uid: 3, gid: 4, mtime: 1_700_000_000, mtimeNanoseconds: 123_456_789),
            TarEntry(path: Array("d/f".utf8), kind: .file, mode: 0o4755, uid: 3_000_000_000, gid: 5_000_000, mtime: -5),
            TarEntry(path: Array("bad".utf8) + [0xFF, 0xFE], kind: .symbolicLink, mode: 0o777, linkTarget: [0xFF] + Array("t".utf8)),
            TarEntry(path: Array("e\u{301}".utf8), kind: .hardLink, mode: 0o644, linkTarget: Array("d/f".utf8)),
            TarEntry(path: Array("null".utf8), kind: .characterDevice, mode: 0o666, deviceMajor: 1, deviceMinor: 3, userName: Array("root".utf8)),
            TarEntry(path: Array("pipe".utf8), kind: .fifo, mode: 0o600, xattrs: [ExtendedAttribute(name: Array("user.x".utf8), value: [0, 255, 10])]),
            TarEntry(path: Array("old".utf8), kind: .file, mode: 0o644, mtime: -5, mtimeNanoseconds: 250_000_000),
            TarEntry(path: [UInt8](repeating: 0x61, count: 200), kind: .file, mode: 0),
        ]
        entries[1].size = 600
        let output = Bytes()
        let writer = TarWriter(output)
        for entry in entries {
            try writer.header(entry)
            if entry.size > 0 { try sample(600).withUnsafeBytes { try writer.data($0) } }
        }
        try writer.finish()
        let reader = try TarReader(Bytes(output.bytes))
        for expected in entries {
            let entry = try #require(try reader.next())
            #expect(entry == expected)
            if entry.size > 0 {
                var data: [UInt8] = []
                try reader.data { data += $0 }
                #expect(data == sample(600))
            }
        }
        #expect(try reader.next() == nil)
    }

    @Test func truncationIsNoticed() throws {
        let output = Bytes()
        let writer = TarWriter(output)
        var entry = TarEntry(path: Array("f".utf8), kind: .file, mode: 0o644)
        entry.size = 5000
        try writer.header(entry)
        try sample(5000).withUnsafeBytes { try writer.data($0) }
        try writer.finish()
        let reader = try TarReader(Bytes(Array(output.bytes.prefix(2000))))
        _ = try reader.next()
        #expect(throws: ArchiveError.truncated) { try reader.data { _ in } }
    }

    /// Cut off anywhere: fine only where no header and no data is missing. umoci writes layers that end with the data.
    @Test func whatEndsWithItsDataIsWhole() throws {
        let output = Bytes()
        let writer = TarWriter(output)
        for (name, size) in [("a", 700), ("b", 2)] {
            var entry = TarEntry(path: Array(name.utf8), kind: .file, mode: 0o644)
            entry.size = Int64(size)
            try writer.header(entry)
            try sample(size).withUnsafeBytes { try writer.data($0) }
        }
        try writer.finish()
        for length in 0...2600 {
            let isWhole = length == 0 || (512 + 700...1536).contains(length) || length >= 2048 + 2
            do {
                let reader = try TarReader(Bytes(Array(output.bytes.prefix(length))))
                while let entry = try reader.next() { if entry.size > 0 { try reader.data { _ in } } }
                #expect(isWhole, "\(length)")
            } catch {
                // Less than a header could be anything.
                #expect(!isWhole && (length < 512 ? error is ArchiveError : error as? ArchiveError == .truncated), "\(length): \(error)")
            }
        }
    }

    /// Found by fuzzing: the smallest number has no opposite.
    @Test func theFirstOfTimes() throws {
        let sink = Bytes()
        let writer = TarWriter(sink)
        var entry = TarEntry(path: Array("a".utf8), kind: .file, mode: 0o644)
        entry.mtime = .min
        try writer.header(entry)
        #expect(String(decoding: sink.bytes, as: UTF8.self).contains("mtime=-9223372036854775808\n"))
    }
}
