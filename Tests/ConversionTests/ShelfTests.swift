import Archive
import Digest
import Files
import Foundation
import Hashing
import Image
import TestSupport
import Testing
import Threads

@testable import Conversion

/// An image of layers that tests make, in a file without a name.
private struct MadeImage: ImageSource {
    private let described: SourceImage
    private let blobs: [LayerBlob]

    init(_ layers: [[(entry: TarEntry, content: [UInt8])]], name: String = "made", in directory: Directory, damaged: Bool = false) throws {
        try self.init(tars: layers.map(tar), name: name, in: directory, damaged: damaged)
    }

    init(tars: [[UInt8]], name: String = "made", in directory: Directory, damaged: Bool = false) throws {
        let file = try directory.unnamedFile()
        var offset = 0
        var descriptors: [LayerDescriptor] = []
        var blobs: [LayerBlob] = []
        for tar in tars {
            try tar.withUnsafeBytes { try file.write($0) }
            descriptors.append(LayerDescriptor(digest: nil, diffID: StreamHasher.digest(damaged ? [] : tar), size: tar.count))
            blobs.append(LayerBlob(file: file, offset: offset, length: tar.count))
            offset += tar.count
        }
        self.blobs = blobs
        described = SourceImage(
            name: ImageName(registry: nil, repository: name, tag: nil, original: name), config: Array(#"{"os":"linux","architecture":"amd64"}"#.utf8), id: "",
            manifestDigest: nil, layers: descriptors)
    }

    func image() -> SourceImage { described }
    func blob(_ index: Int) -> LayerBlob { blobs[index] }
}

/// What a layer that is kept gives is what reading it gives, to the byte.
@Suite struct ShelfTests {
    private let directory = try! Directory.open(NSTemporaryDirectory())

    private func converted(_ image: MadeImage, _ shelf: LayerShelf?) throws -> [UInt8] {
        var sink = Bytes()
        _ = try Converter(image, shelf: shelf).convert {
            sink = Bytes()
            return try GzipSink(sink, workers: 1)
        }
        return sink.bytes
    }

    private func shelf(disk: Int = 1 << 30, memory: Int = 1 << 30) -> LayerShelf { LayerShelf(directory, disk: disk, memory: memory) }

    @Test func randomStacksComeOutTheSame() throws {
        let (common, small) = (shelf(), shelf(disk: 300, memory: 2000))
        let counts = Monitor((made: 0, refused: 0))
        try parallel(count: 500, workers: 2) { number in
            let image = try MadeImage(randomLayers(seed: UInt64(number)), in: directory)
            let expected = Result { try converted(image, nil) }
            for shelf in [common, common, small] {
                let found = Result { try converted(image, shelf) }
                switch (expected, found) {
                case (.success(let a), .success(let b)): #expect((a == b) == true, "seed \(number)")
                // The name of a member may be spelled otherwise.
                case (.failure(let a as ConversionError), .failure(let b as ConversionError)):
                    #expect(a.diagnosis.hint == b.diagnosis.hint, "seed \(number): \(a) \(b)")
                default: Issue.record("seed \(number): one way refuses it")
                }
            }
            counts.update { if case .success = expected { $0.made += 1 } else { $0.refused += 1 } }
        }
        let (made, refused) = counts.update { $0 }
        #expect(made > 100 && refused > 20)
        #expect(common.statistics.taken > 500 && common.statistics.refused == 0)
        #expect(small.statistics.refused > 30)
    }

    /// Regions and blocks of many kinds: large files, many small ones, and layers above that change something in the middle.
    @Test func largeLayersComeOutTheSame() throws {
        var random = SeededGenerator(seed: 7)
        func file(_ path: String, _ size: Int) -> (TarEntry, [UInt8]) {
            // Half of it compresses.
            (TarEntry(path: Array(path.utf8), kind: .file, mode: 0o644), (0..<size).map { _ in UInt8.random(in: 0..<16, using: &random) })
        }
        func directory(_ path: String) -> (TarEntry, [UInt8]) { (TarEntry(path: Array(path.utf8), kind: .directory, mode: 0o755), []) }
        let base =
            [directory("./"), directory("./a/"), file("./a/large", 1_600_000)] + (0..<400).map { file("./a/f\($0)", 3000) } + [
                directory("./b"), file("./b/x", 1_200_000),
            ]
        let link = (TarEntry(path: Array("b/link".utf8), kind: .hardLink, mode: 0, linkTarget: Array("a/f10".utf8)), [UInt8]())
        let tops: [[(TarEntry, [UInt8])]] = [
            [file("c", 10)], [directory("a"), file("a/f300", 20)], [file("a/.wh.large", 0)], [file("b/.wh..wh..opq", 0)], [file("a/.wh.f10", 0)],
            [directory("b"), file("b/y", 1_100_000)],
        ]
        let shelf = shelf()
        for (number, top) in tops.enumerated() {
            let image = try MadeImage([base, [link], top], name: "image\(number)", in: self.directory)
            let (expected, found) = (try converted(image, nil), try converted(image, shelf))
            #expect((expected == found) == true, "\(number)")
            #expect(try (converted(image, shelf) == expected) == true)
        }
        #expect(shelf.statistics.made == 2 + tops.count)
    }

    /// Large files that take little of the layer's tar stand between small ones.
    @Test func sparseFilesComeOutTheSame() throws {
        let made = Process()
        made.executableURL = URL(fileURLWithPath: "/bin/sh")
        let script = """
            cd "$(mktemp -d)" && for n in 1 2 3; do head -c 5000 /dev/zero | tr '\\0' $n >small$n; truncate -s 1M large$n; echo $n >>large$n; done
            tar -cS --format=posix small1 large1 small2 large2 large3 small3; rm -r "$PWD"
            """
        made.arguments = ["-c", script]
        let output = Pipe()
        made.standardOutput = output
        try made.run()
        let base = Array(output.fileHandleForReading.readDataToEndOfFile())
        made.waitUntilExit()
        #expect(base.count > 20_000 && base.count < 100_000)
        let shelf = shelf()
        for (number, hidden) in ["none", "small1", "small2", "large1", "large2", "large3", "small3"].enumerated() {
            let top = try tar([(TarEntry(path: Array(".wh.\(hidden)".utf8), kind: .file, mode: 0), [])])
            let image = try MadeImage(tars: [base, top], name: "image\(number)", in: directory)
            let (expected, found) = (try converted(image, nil), try converted(image, shelf))
            #expect((expected == found) == true, "without \(hidden)")
        }
        #expect(shelf.statistics.taken == 6 && shelf.statistics.made == 8)
    }

    @Test func whatIsDamagedIsNotKept() throws {
        let shelf = shelf()
        let image = try MadeImage([[(TarEntry(path: [1], kind: .file, mode: 0o644), [1, 2])]], in: directory, damaged: true)
        for _ in 0..<2 { #expect(throws: ConversionError.self) { try converted(image, shelf) } }
        #expect(shelf.statistics.made == 0 && shelf.statistics.taken == 0)
    }
}
