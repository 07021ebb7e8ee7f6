import Archive
import Batch
import Cache
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
    private let connections: RegistryConnections
    private let names: OutputNames
    private let tell: @Sendable (BatchRun.Event) -> Void

    init(_ plan: BatchPlan, _ settings: BatchSettings, _ directory: BatchDirectory, cache: BlobCache?, tell: @escaping @Sendable (BatchRun.Event) -> Void) {
        self.tell = tell
        (self.plan, self.settings, self.directory, self.cache) = (plan, settings, directory, cache)
        let budget = settings.budget
        shelf = LayerShelf(directory.directory, disk: budget.shelfDisk, memory: budget.shelfMemory, workers: budget.compressors)
        names = OutputNames(plan, settings.template.flatMap { try? NameTemplate($0) })
        connections = RegistryConnections(limits: settings.requests)
    }

    /// Converts an image, unless it was converted before and is the same, and says what became of it.
    /// - Parameter alone: whether all room is for this image.
    /// - Returns: nil where there is only room for it when nothing else is under way.
    func convert(_ index: Int, alone: Bool) -> BatchRecord? {
        let item = plan.items[index]
        var record = BatchRecord(item)
        let known = directory.record(of: item)
        defer { names.settle(index) }
        do {
            record.settings = settings.of(item).text
            if alone { shelf.clear() }
            try convert(index, &record, known)
        } catch is DiskBudget.NoRoom {
            guard alone else { return nil }
            record.failure = BatchRecord.Failure(BudgetError.beyond(option: "--max-disk"))
        } catch ConversionError.beyondLimit(_, "--max-entries", _) where settings.budget.entries != nil {
            record.failure = BatchRecord.Failure(BudgetError.beyond(option: "--max-memory"))
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
        let share = DiskShare(settings.budget.work)
        if let known, record.stamp != nil, known.stamp == record.stamp, isUnchanged(known, record, index) { return skip(&record, known) }

        if let budget = settings.budget.work, case .file = location, let file = opened as? OpenFile, try Self.isCompressed(file) {
            // It is unpacked, to a file of unknown size.
            try share.take(budget.limit / 2)
        }
        let source = TimedSource(
            try options.source.open(
                item.reference, opened: opened, access: { _ in self.plan.access[index] ?? RegistryAccess(places: []) }, cache: cache,
                engine: settings.engine, scratch: directory.directory, connections: connections, events: { [tell] in tell(.source(index: index, $0)) }))
        if let known, let digest = known.manifestDigest, isUnchanged(known, record, index), try source.manifestDigest()?.description == digest {
            return skip(&record, known)
        }
        let image = try source.image()
        try options.source.check(image, called: item.reference)
        record.seconds.manifest = monotonicSeconds() - start
        record.manifestDigest = image.manifestDigest?.description
        record.imageID = image.id
        record.layers = image.layers.map { BatchRecord.Layer(digest: $0.label, size: $0.size ?? 0) }
        record.sizeBefore = image.layers.reduce(0) { $0 + ($1.size ?? 0) }
        // Where a registry says no digest before it gives the manifest.
        if let known, record.stamp == nil, known.manifestDigest != nil, known.manifestDigest == record.manifestDigest, isUnchanged(known, record, index) {
            return skip(&record, known)
        }

        let name = try names.claim(index) { names.name(item, image) }
        try checkNotAnothers(name, record, known)
        let level = options.compression.shelfLevel(options.level)
        let wanted = image.layers.filter { !shelf.holds($0, level: level) }
        // A cache of others has a bound of its own.
        let kept = settings.budget.ownCache == nil ? settings.source.choices.cacheSize?.bytes ?? CacheDirectory.standardLimit : 0
        if location.reference != nil { try share.take(Set(wanted).reduce(0) { $0 + (($1.size ?? 0) > kept ? $1.size ?? 0 : 0) }) }
        try source.prefetch { wanted.contains($0) }
        let pending = try PendingFile(in: directory.output)
        var written = 0
        defer {
            record.seconds.layers = source.waited
            record.seconds.convert = monotonicSeconds() - start - record.seconds.manifest - source.waited
        }
        let result = try Converter(source, limits: settings.limits, shelf: shelf, level: level).convert {
            share.giveBack(written)
            written = 0
            try pending.file.restart()
            let sink = FileSink(pending.file) { [tell] bytes in
                try share.take(bytes)
                written += bytes
                tell(.written(index: index, bytes: bytes))
            }
            return try options.compression.sink(sink, level: options.level, workers: settings.budget.compressors)
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
        let isThere = directory.hasOutput(of: known) || (known.storeID.map { plan.stored.contains($0) } ?? false)
        guard known.isDone, known.settings == record.settings, isThere, let output = known.output else { return false }
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

    private static func isCompressed(_ file: OpenFile) throws -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4)
        guard try bytes.withUnsafeMutableBytes({ try file.read(into: $0, at: 0) }) == 4 else { return false }
        return bytes.starts(with: [0x1F, 0x8B]) || bytes.starts(with: Array("BZh".utf8)) || bytes == [0xFD, 0x37, 0x7A, 0x58]
            || bytes == [0x28, 0xB5, 0x2F, 0xFD]
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
    func refuse() { source.refuse() }
}
