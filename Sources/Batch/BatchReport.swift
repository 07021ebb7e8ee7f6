import AppC

/// What became of all images of a batch, made of their records.
public struct BatchReport: Sendable, Encodable, Equatable {
    public enum Outcome: String, Sendable, Encodable, CaseIterable {
        case done
        /// Done in an earlier run, and not changed since.
        case skipped
        case failed
        /// Nothing is known of it: its task has not ended, or never began.
        case unfinished
    }

    public struct Image: Sendable, Encodable, Equatable {
        /// In the list, from 0.
        public var index: Int
        /// Which converts it; nil where the batch wasn't shared out.
        public var task: Int?
        public var reference: String
        public var platform: String?
        public var outcome: Outcome
        public var cause: BatchRecord.Cause?
        public var message: String?
        public var hint: String?
        public var attempts: Int
        public var secondsManifest: Double
        public var secondsLayers: Double
        public var secondsConvert: Double
        public var seconds: Double { secondsManifest + secondsLayers + secondsConvert }
        /// Bytes of its layers as served, and of those that no other image of the list has.
        public var sizeBefore: Int?
        public var sizeOwn: Int?
        /// Bytes of the ACI.
        public var sizeAfter: Int?
        public var layers: Int?
        public var output: String?
        public var name: String?
        public var storeID: String?
        public var comparison: Comparison?
    }

    /// How an image is beside what Docker makes of it (docs/cluster.md), where it was compared.
    public enum Comparison: String, Sendable, Codable, CaseIterable { case same, different, incomplete }

    /// A layer that several images have.
    public struct Layer: Sendable, Encodable, Equatable {
        public var digest: String
        public var size: Int
        public var images: Int
    }

    public struct Failures: Sendable, Encodable, Equatable {
        public var cause: BatchRecord.Cause
        public var count: Int
    }

    public struct Totals: Sendable, Encodable, Equatable {
        public var images = 0
        public var done = 0
        public var skipped = 0
        public var failed = 0
        public var unfinished = 0
        /// Bytes of all images' layers, each counted for every image that has it.
        public var sizeBefore = 0
        /// Bytes of those layers, each counted once.
        public var sizeDistinct = 0
        public var sizeAfter = 0
        public var secondsManifest = 0.0
        public var secondsLayers = 0.0
        public var secondsConvert = 0.0
        public var seconds: Double { secondsManifest + secondsLayers + secondsConvert }
        /// Of the images that were compared with what Docker makes of them.
        public var same = 0
        public var different = 0
        public var incomplete = 0
        public var compared: Int { same + different + incomplete }
    }

    public var version = 1
    public var totals = Totals()
    /// In the order of the list.
    public var images: [Image] = []
    /// By how many bytes sharing them saves, the most first.
    public var sharedLayers: [Layer] = []
    /// The most frequent first.
    public var failures: [Failures] = []

    /// - Parameters:
    ///   - record: what is known of an image of the list.
    ///   - comparison: how it is beside what Docker makes of it.
    ///   - submission: how it was shared out, if it was.
    public init(
        _ list: BatchList, submission: Submission? = nil, record: (BatchItem) -> BatchRecord?, comparison: (BatchItem) -> Comparison? = { _ in nil }
    ) {
        let records = list.items.map(record)
        var layers: [String: (size: Int, images: Int)] = [:]
        for record in records {
            // An image may have one layer twice: it is fetched once.
            var own: Set<String> = []
            for layer in record?.layers ?? [] where own.insert(layer.digest).inserted { layers[layer.digest, default: (layer.size, 0)].images += 1 }
        }
        for (index, (item, record)) in zip(list.items, records).enumerated() {
            var own: Set<String> = []
            let sizeOwn = record?.layers?.reduce(0) { $0 + (layers[$1.digest]?.images == 1 && own.insert($1.digest).inserted ? $1.size : 0) }
            let outcome: Outcome =
                switch record?.status {
                case .done: .done
                case .skipped: .skipped
                case .failed: .failed
                case nil: .unfinished
                }
            let seconds = record?.seconds ?? .init()
            images.append(
                Image(
                    index: index, task: submission?.task(ofImage: index), reference: item.reference, platform: item.options.platform, outcome: outcome,
                    cause: record?.failure?.cause, message: record?.failure?.message, hint: record?.failure?.hint, attempts: record?.attempts ?? 0,
                    secondsManifest: Self.rounded(seconds.manifest), secondsLayers: Self.rounded(seconds.layers),
                    secondsConvert: Self.rounded(seconds.convert), sizeBefore: record?.sizeBefore, sizeOwn: sizeOwn,
                    sizeAfter: outcome == .failed ? nil : record?.sizeAfter, layers: record?.layers?.count, output: outcome == .failed ? nil : record?.output,
                    name: record?.name, storeID: record?.storeID, comparison: comparison(item)))
        }
        sharedLayers = layers.filter { $0.value.images > 1 }.map { Layer(digest: $0.key, size: $0.value.size, images: $0.value.images) }.sorted {
            let (left, right) = ($0.size * ($0.images - 1), $1.size * ($1.images - 1))
            return left == right ? $0.digest < $1.digest : left > right
        }
        failures = BatchRecord.Cause.allCases.map { cause in Failures(cause: cause, count: images.count { $0.outcome == .failed && $0.cause == cause }) }
            .filter { $0.count > 0 }.sorted { $0.count == $1.count ? $0.cause.rawValue < $1.cause.rawValue : $0.count > $1.count }
        total(distinct: layers.values.reduce(0) { $0 + $1.size })
    }

    private mutating func total(distinct: Int) {
        totals.sizeDistinct = distinct
        for image in images {
            totals.images += 1
            switch image.outcome {
            case .done: totals.done += 1
            case .skipped: totals.skipped += 1
            case .failed: totals.failed += 1
            case .unfinished: totals.unfinished += 1
            }
            switch image.comparison {
            case .same: totals.same += 1
            case .different: totals.different += 1
            case .incomplete: totals.incomplete += 1
            case nil: break
            }
            totals.sizeBefore += image.sizeBefore ?? 0
            totals.sizeAfter += image.sizeAfter ?? 0
            totals.secondsManifest += image.secondsManifest
            totals.secondsLayers += image.secondsLayers
            totals.secondsConvert += image.secondsConvert
        }
        (totals.secondsManifest, totals.secondsLayers) = (Self.rounded(totals.secondsManifest), Self.rounded(totals.secondsLayers))
        totals.secondsConvert = Self.rounded(totals.secondsConvert)
    }

    /// To milliseconds.
    private static func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }

    /// Whether all images are there, and those that were compared are the same.
    public var isComplete: Bool { totals.failed == 0 && totals.unfinished == 0 && totals.different == 0 && totals.incomplete == 0 }
    /// Those that aren't, as a list that can be converted again.
    public func unfinished(of list: BatchList) -> BatchList {
        BatchList(images.filter { [.failed, .unfinished].contains($0.outcome) }.map { list.items[$0.index] })
    }
}

extension BatchReport {
    /// Of what is known in a batch's directory.
    public init(_ list: BatchList, submission: Submission? = nil, in directory: BatchDirectory) {
        self.init(list, submission: submission, record: { directory.record(of: $0) }, comparison: { directory.comparison(of: $0) })
    }
}

extension BatchDirectory {
    /// The file of an image's comparison, as `d2a compare --format json` writes it.
    public static func comparisonFile(of item: BatchItem) -> String { "c\(item.key.dropFirst()).json" }

    public func comparison(of item: BatchItem) -> BatchReport.Comparison? {
        guard let bytes = try? directory.file(Self.comparisonFile(of: item)).readAll(limit: 256 << 20),
            let document = try? CanonicalJSON.decode(JSONValue.self, from: bytes)
        else { return nil }
        return document["verdict"]?.string.flatMap { BatchReport.Comparison(rawValue: $0) }
    }
}
