import Archive
import Batch
import Conversion
import Credentials
import Digest
import Files
import Glibc
import Image
import Location
import Registry
import Squash
import Threads

/// Converts single images of a batch, and keeps what they share.
final class BatchConversion: Sendable {
    private let plan: BatchPlan
    private let settings: BatchSettings
    private let directory: BatchDirectory
    private let cache: BlobCache?
    private let shelf: LayerShelf
    private let connections = RegistryConnections()
    private let names: OutputNames
    private let tell: @Sendable (BatchRun.Event) -> Void

    init(_ plan: BatchPlan, _ settings: BatchSettings, _ directory: BatchDirectory, cache: BlobCache?, tell: @escaping @Sendable (BatchRun.Event) -> Void) {
        self.tell = tell
        (self.plan, self.settings, self.directory, self.cache) = (plan, settings, directory, cache)
        shelf = LayerShelf(directory.directory, disk: .max / 2, memory: 512 << 20)
        names = OutputNames(plan)
    }

    /// Converts an image, unless it was converted before and is the same, and says what became of it.
    func convert(_ index: Int) -> BatchRecord {
        let item = plan.items[index]
        var record = BatchRecord(item)
        let known = directory.record(of: item)
        defer { names.settle(index) }
        do {
            record.settings = settings.of(item).text
            try convert(index, &record, known)
        } catch {
            record.failure = BatchRecord.Failure(error)
        }
        if record.status != .skipped { record.time = time(nil) }
        return record
    }

    /// - Parameter record: gets what is found out until something fails.
    private func convert(_ index: Int, _ record: inout BatchRecord, _ known: BatchRecord?) throws {
        let item = plan.items[index]
        let options = settings.of(item)
        let start = monotonicSeconds()
        let location = try ImageLocation(item.reference)
        let opened = try location.open()
        record.stamp = try Self.stamp(opened)
        if let known, record.stamp != nil, known.stamp == record.stamp, isUnchanged(known, record, index) { return skip(&record, known) }

        let source = TimedSource(
            try options.source.open(
                item.reference, opened: opened, access: { _ in self.plan.access[index] ?? RegistryAccess(places: []) }, cache: cache,
                scratch: directory.directory, connections: connections, events: { [tell] in tell(.source(index: index, $0)) }))
        if let known, let digest = known.manifestDigest, isUnchanged(known, record, index), try source.manifestDigest()?.description == digest {
            return skip(&record, known)
        }
        let image = try source.image()
        record.seconds.manifest = monotonicSeconds() - start
        record.manifestDigest = image.manifestDigest?.description
        record.imageID = image.id
        record.layers = image.layers.map { BatchRecord.Layer(digest: $0.label, size: $0.size ?? 0) }
        record.sizeBefore = image.layers.reduce(0) { $0 + ($1.size ?? 0) }
        // Where a registry says no digest before it gives the manifest.
        if let known, record.stamp == nil, known.manifestDigest != nil, known.manifestDigest == record.manifestDigest, isUnchanged(known, record, index) {
            return skip(&record, known)
        }

        let name = try names.claim(index) { item.options.output ?? Docker2ACI.fileName(image.name) }
        try checkNotAnothers(name, record, known)
        let level = options.compression.shelfLevel(options.level)
        try source.prefetch { !shelf.holds($0, level: level) }
        let pending = try PendingFile(in: directory.output)
        defer {
            record.seconds.layers = source.waited
            record.seconds.convert = monotonicSeconds() - start - record.seconds.manifest - source.waited
        }
        let result = try Converter(source, limits: settings.limits, shelf: shelf, level: level).convert {
            try pending.file.restart()
            return try options.compression.sink(FileSink(pending.file) { [tell] in tell(.written(index: index, bytes: $0)) }, level: options.level)
        }
        record.sizeAfter = try pending.file.size()
        try pending.publish(as: name)
        record.output = name
        record.name = result.manifest.name
        record.labels = result.manifest.labels ?? []
        record.status = .done
    }

    /// Whether what an earlier run made is what this one would.
    private func isUnchanged(_ known: BatchRecord, _ record: BatchRecord, _ index: Int) -> Bool {
        guard known.isDone, known.settings == record.settings, directory.hasOutput(of: known), let output = known.output else { return false }
        return (try? names.claim(index) { output }) == output
    }

    /// A file that an earlier run wrote for an image that isn't in the list now stays, unless it is the same image.
    /// - Throws: ``NameTaken``
    private func checkNotAnothers(_ name: String, _ record: BatchRecord, _ known: BatchRecord?) throws {
        guard known?.output != name, directory.output.exists(name) else { return }
        let items = Set(plan.items)
        for other in try directory.records() where other.output == name && other.isDone && other.imageID != record.imageID && !items.contains(other.item) {
            throw NameTaken(name: name, owner: other.reference)
        }
    }

    private func skip(_ record: inout BatchRecord, _ known: BatchRecord) {
        record = known
        record.status = .skipped
    }

    /// What tells whether a file is the one it was; a layout's index names all that is in it.
    private static func stamp(_ opened: (any DescriptorOwner)?) throws -> String? {
        guard let opened else { return nil }
        var status = stat()
        guard fstatat(opened.descriptor, opened is Directory ? "index.json" : "", &status, opened is Directory ? 0 : 0x1000) == 0 else { return nil }
        return "\(status.st_size) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
}

/// Measures how long layers are waited for.
private final class TimedSource: ImageSource {
    private let source: any ImageSource
    private let total = Monitor(0.0)

    init(_ source: any ImageSource) { self.source = source }

    var waited: Double { total.update { $0 } }

    private func timed<T>(_ body: () throws -> T) rethrows -> T {
        let start = monotonicSeconds()
        defer { total.update { $0 += monotonicSeconds() - start } }
        return try body()
    }

    func image() throws -> SourceImage { try source.image() }
    func blob(_ index: Int) throws -> LayerBlob { try timed { try source.blob(index) } }
    // Bytes that still come would be waited for while they are read.
    func arriving(_ index: Int) throws -> LayerBlob { try timed { try source.arriving(index) } }
    func beginning(_ index: Int) throws -> LayerBlob { try source.beginning(index) }
    func prefetch(_ wanted: (LayerDescriptor) -> Bool) throws { try source.prefetch(wanted) }
    func manifestDigest() throws -> Digest? { try source.manifestDigest() }
    func giveUp() { source.giveUp() }
}
