import AppC
import ArgumentParser
import Batch
import Cache
import CLinux
import Diagnostics
import Engine
import Files
import Glibc
import ImageOptions
import Location
import Program
import Registry
import Sandbox
import Squash
import Transport

/// Converts the images of a list. Descriptors: 3 the plan (``BatchPlan``), 4 the directory to write to, and the cache's directory
/// where its number is given.
struct BatchHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "batch")

    /// What the process ends with where some images failed.
    static let someFailed: Int32 = 3

    @Option(help: "How many images to convert at once.") var workers: Int
    @Option(help: "How often an image is tried whose failure may pass.") var attempts: Int
    @Option(help: "Seconds before an image is tried again.") var delay: Double
    @Flag(help: "Begin no other image once one has failed.") var failFast = false
    @Option var nameTemplate: String?
    @Option var compression: Compression
    @Option var compressionLevel: Int?
    @Option(help: "Bytes of memory.") var maxMemory: ByteCount?
    @Option(help: "Bytes of files that aren't finished ACIs.") var maxDisk: ByteCount?
    @Option(help: "Bytes a second of all downloads.") var bandwidth: ByteCount?
    @Option(help: "Requests to a registry at once.") var connections: Int?
    @Option(help: "Requests to a registry in a second.") var requestRate: Double?
    @Option(help: "The descriptor of the cache's directory.") var cache: Int32?
    @Option(help: "What the output directory is called.") var shown: String
    @Flag var json = false
    @Flag var quiet = false
    @OptionGroup var source: SourceOptions
    @OptionGroup var bounds: LimitOptions

    func run() throws {
        var limits = bounds.limits
        try compression.check(level: compressionLevel)
        if let nameTemplate { _ = try NameTemplate(nameTemplate) }
        let plan = try CanonicalJSON.decode(BatchPlan.self, from: OpenFile(descriptor: 3, path: "the plan").readAll(limit: 1 << 30))
        for item in plan.items { try check(item) }
        let output = Directory(descriptor: 4, path: "the output directory")
        let directory = try BatchDirectory(in: output)
        directory.sweep()
        raiseFileLimit()
        // What is asked of the file system is opened by name later, image by image: so the sandbox knows the files already.
        let locations = plan.chosen.map { try? ImageLocation(plan.items[$0].reference) }
        // Without a cache downloads are kept as long as this lasts: what images share is fetched once all the same.
        let budget = try BatchBudget(
            workers: max(1, workers), memory: maxMemory?.bytes, disk: maxDisk?.bytes, output: output,
            unpacks: locations.contains { if case .file? = $0 { true } else { false } })
        if let size = budget.fileSize { limitFiles(size) }
        let own = cache == nil ? try directory.directory.makePrivate() : nil
        defer { if let own { try? directory.directory.removeTree(own.name) } }
        let kept = own?.directory ?? Directory(descriptor: cache!, path: "the cache")
        let engine = EngineAddress.ofEnvironment
        try Sandbox(
            reading: locations.compactMap { $0.flatMap(Self.place) }, writing: [output, kept],
            network: locations.contains { $0?.needsNetwork ?? true },
            // As docker2aci: the directory that is written to may be someone else's.
            capabilities: [CAP_DAC_OVERRIDE]
        ).enter()

        if let entries = budget.entries { limits.entries = min(limits.entries, entries) }
        let requests = RequestLimits(
            connections: connections, requestsPerSecond: requestRate, bandwidth: bandwidth.map { Bandwidth(bytesPerSecond: $0.bytes) })
        let settings = BatchSettings(
            source: source, engine: engine, limits: limits, compression: compression, compressionLevel: compressionLevel, budget: budget, requests: requests,
            attempts: max(1, attempts),
            delay: delay, failFast: failFast, template: nameTemplate)
        let blobs = try own.map { try BlobCache(CacheDirectory($0.directory), limit: budget.ownCache ?? .max / 2) } ?? source.cache(in: CacheDirectory(kept))
        let display = BatchDisplay(plan, json: json, quiet: quiet)
        let summary = BatchRun(plan, settings, directory, cache: blobs, tell: display.handle).run()
        let list = Result { try listFailures(summary, directory) }
        display.finish(summary, failed: try? list.get())
        if case .failure(let error) = list {
            // On a full disk, say: what became of the images is told all the same.
            guard !summary.failures.isEmpty else { throw error }
            complain("warning: what is left is not listed: \(printable("\(error)"))\n")
        }
        if summary.failed > 0 || summary.left > 0 { throw ExitCode(Self.someFailed) }
    }

    /// Writes down what is left to do, as a list that a batch takes.
    /// - Returns: what it is called; nil where nothing is left.
    private func listFailures(_ summary: BatchRun.Summary, _ directory: BatchDirectory) throws -> String? {
        let name = "failed.list"
        guard !summary.failures.isEmpty else {
            try directory.directory.remove(name)
            return nil
        }
        try directory.write(Array(BatchList(summary.failures).text.utf8), as: name)
        return "\(shown)/\(BatchDirectory.name)/\(name)"
    }

    private func check(_ item: BatchItem) throws {
        guard let word = item.options.compression else { return }
        guard let compression = Compression(rawValue: word) else {
            throw ValidationError("\(item.reference): \"\(word)\" is no compression: \(Compression.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        try compression.check(level: item.options.compressionLevel)
    }

    /// A file or directory as something that can be named and not read.
    private static func place(_ location: ImageLocation) -> (any DescriptorOwner)? {
        switch location {
        case .registry, .engine: nil
        case .file(let path, _), .directory(let path, _): path == "-" ? nil : try? OpenFile.named(path)
        }
    }

    /// Each file that is named for the sandbox is open until then.
    private func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// No file becomes larger: writing to it fails instead.
    private func limitFiles(_ size: Int) {
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit(rlim_cur: rlim_t(size), rlim_max: rlim_t(size))
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    }
}
