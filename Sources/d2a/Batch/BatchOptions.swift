import AppC
import ArgumentParser
import Batch
import Cache
import Credentials
import Digest
import Files
import Glibc
import Location
import Store
import Subprocess
import Threads

/// How a batch is converted.
struct BatchOptions: ParsableArguments {
    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("The directory to write to; made where it is missing.", valueName: "directory"))
    var directory: String?
    @Flag(help: "Add the images to the store; without --output to it alone.") var toStore = false
    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("How many images to convert at once. (default: the number of processors)", valueName: "n")) var jobs: Int?
    @Option(help: ArgumentHelp("How many layers of an image to download at once. (default: 3)", valueName: "n")) var downloads: Int?
    @Option(help: ArgumentHelp("Take no more memory: 256M, 4G. Converts fewer images at once, and refuses those that are too large.", valueName: "size"))
    var maxMemory: String?
    @Option(
        help: ArgumentHelp("Take no more of the disk beside finished ACIs, and the cache, which --cache-size bounds: 500M, 20G.", valueName: "size"))
    var maxDisk: String?
    @Option(help: ArgumentHelp("Download no more bytes in a second: 500K, 10M.", valueName: "size")) var bandwidth: String?
    @Option(help: ArgumentHelp("Make no more requests to a registry at once. (default: 6)", valueName: "n")) var connections: Int?
    @Option(help: ArgumentHelp("Make no more requests to a registry in a second.", valueName: "n")) var requestRate: Double?
    @Option(help: ArgumentHelp("How to name ACIs: text with {registry}, {repository}, {name}, {tag}, {digest}, {os}, {arch}.", valueName: "text"))
    var nameTemplate: String?
    @Option(help: ArgumentHelp("How to compress the ACIs: gzip, none, xz, bzip2 or zstd.", valueName: "codec")) var compression = "gzip"
    @Option(help: ArgumentHelp("How hard to compress: gzip 0-3, xz 0-9, bzip2 1-9, zstd 1-19. (default: 2, 6, 9, 3)", valueName: "n")) var compressionLevel:
        Int?
    @Option(help: ArgumentHelp("Try an image so often whose failure may pass.", valueName: "n")) var attempts = 3
    @Option(help: ArgumentHelp("Wait so long before an image is tried again, twice as long each further time.", valueName: "seconds")) var attemptDelay = 5.0
    @Flag(help: "Begin no other image once one has failed.") var failFast = false
    @Flag(help: "Tell what happens as JSON on standard output, an object a line.") var json = false
    @OptionGroup var source: SourceOptions

    /// Where ACIs and records are; of a batch that goes to the store alone, a place in that.
    var output: String {
        get { directory ?? ((try? global.store().root.path) ?? "") + "/batch" }
        set { directory = newValue }
    }

    func validate() throws {
        guard directory != nil || toStore else { throw ValidationError("give --output DIRECTORY, or --to-store") }
        for (name, value) in [("--jobs", jobs), ("--downloads", downloads), ("--attempts", attempts), ("--connections", connections)]
        where !(1...1024).contains(value ?? 1) {
            throw ValidationError("\(name) \(value!): give a number from 1 to 1024")
        }
        guard (0.001...10000).contains(requestRate ?? 1) else { throw ValidationError("--request-rate \(requestRate!): give a number from 0.001 to 10000") }
        guard (0...3600).contains(attemptDelay) else { throw ValidationError("--attempt-delay \(attemptDelay): give a number of seconds from 0 to 3600") }
    }

    /// The exit status where some images failed.
    static let someFailed: Int32 = 3

    /// Does work that goes on where some images fail.
    /// - Returns: whether some did.
    static func someFail(_ body: () throws -> Void) throws -> Bool {
        do { try body() } catch let code as ExitCode where code.rawValue == someFailed { return true }
        return false
    }

    /// Converts images of a list.
    /// - Parameter chosen: their indices.
    /// - Throws: `ExitCode` 3 where some failed.
    func convert(_ list: BatchList, chosen: [Int]) throws {
        let store = toStore ? try global.store() : nil
        let output = try Directory.make(self.output)
        var plan = BatchPlan(items: list.items, chosen: chosen, access: [:])
        let directory = try BatchDirectory(in: output)
        if let store, self.directory == nil {
            for index in chosen {
                if let id = directory.record(of: list.items[index])?.storeID, (try? store.resolve(ImageIDPrefix(id)!)) != nil { plan.stored.insert(id) }
            }
        }
        let login = try source.withCredentials().creds
        for index in chosen {
            guard let reference = (try? ImageLocation(list.items[index].reference))?.reference else { continue }
            plan.access[index] = try RegistryAccess(option: login, for: reference)
        }
        let file = try OpenFile.inMemory("plan", CanonicalJSON.encode(plan))
        try file.seek(to: 0)
        var descriptors: [any DescriptorOwner] = [file, output]
        var words = [
            "batch", "--shown=\(output.path)", "--workers=\(workers)", "--attempts=\(attempts)", "--delay=\(attemptDelay)",
            "--compression=\(compression)",
        ]
        if let compressionLevel { words.append("--compression-level=\(compressionLevel)") }
        if let nameTemplate { words.append("--name-template=\(nameTemplate)") }
        if let downloads { words.append("--jobs=\(downloads)") }
        if let maxMemory { words.append("--max-memory=\(maxMemory)") }
        if let maxDisk { words.append("--max-disk=\(maxDisk)") }
        if let bandwidth { words.append("--bandwidth=\(bandwidth)") }
        words.append("--connections=\(connections ?? 6)")
        if let requestRate { words.append("--request-rate=\(requestRate)") }
        if failFast { words.append("--fail-fast") }
        if json { words.append("--json") }
        if !source.choices.noCache, let cache = CacheDirectory.standard {
            words.append("--cache=\(3 + descriptors.count)")
            descriptors.append(cache.directory)
        }
        let result = Result { try Helper.run(words + source.arguments + source.limits.arguments, descriptors: descriptors) }
        if let store { for index in chosen { try add(list.items[index], to: store, directory) } }
        try result.get()
    }

    /// Adds what was made of an image to the store, under the name that it has in its registry.
    private func add(_ item: BatchItem, to store: ImageStore, _ directory: BatchDirectory) throws {
        guard var record = directory.record(of: item), record.isDone, let file = record.output, directory.hasOutput(of: record) else { return }
        if record.storeID == nil || (try? store.resolve(ImageIDPrefix(record.storeID!)!)) == nil || record.status == .done {
            let fetcher = ImageFetcher(store: store, options: try FetchOptions.parse([]), policy: .update)
            let reference = (try? ImageLocation(item.reference))?.reference
            record.storeID = try fetcher.converted(directory.output.file(file), called: reference).id.description
            try directory.write(record)
        }
        if self.directory == nil { try directory.output.remove(file) }
    }

    /// How many images are worked on at once.
    var workers: Int { jobs ?? processorCount }
}
