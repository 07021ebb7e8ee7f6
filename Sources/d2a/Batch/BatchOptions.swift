import AppC
import ArgumentParser
import Batch
import Cache
import Credentials
import Files
import Glibc
import Location
import Subprocess

/// How a batch is converted.
struct BatchOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: ArgumentHelp("The directory to write to; made where it is missing.", valueName: "directory")) var output: String
    @Option(help: ArgumentHelp("How many images to convert at once. (default: the number of processors)", valueName: "n")) var jobs: Int?
    @Option(help: ArgumentHelp("How many layers of an image to download at once. (default: 3)", valueName: "n")) var downloads: Int?
    @Option(help: ArgumentHelp("How to compress the ACIs: gzip, none, xz, bzip2 or zstd.", valueName: "codec")) var compression = "gzip"
    @Option(help: ArgumentHelp("How hard to compress: gzip 0-3, xz 0-9, bzip2 1-9, zstd 1-19. (default: 2, 6, 9, 3)", valueName: "n")) var compressionLevel:
        Int?
    @Option(help: ArgumentHelp("Try an image so often whose failure may pass.", valueName: "n")) var attempts = 3
    @Option(help: ArgumentHelp("Wait so long before an image is tried again, twice as long each further time.", valueName: "seconds")) var attemptDelay = 5.0
    @Flag(help: "Begin no other image once one has failed.") var failFast = false
    @Flag(help: "Tell what happens as JSON on standard output, an object a line.") var json = false
    @OptionGroup var source: SourceOptions

    func validate() throws {
        for (name, value) in [("--jobs", jobs), ("--downloads", downloads), ("--attempts", attempts)] where !(1...1024).contains(value ?? 1) {
            throw ValidationError("\(name) \(value!): give a number from 1 to 1024")
        }
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
        let output = try Directory.make(output)
        var plan = BatchPlan(items: list.items, chosen: chosen, access: [:])
        for index in chosen {
            guard let reference = (try? ImageLocation(list.items[index].reference))?.reference else { continue }
            plan.access[index] = try RegistryAccess(option: source.creds, for: reference)
        }
        let file = try OpenFile.inMemory("plan", CanonicalJSON.encode(plan))
        try file.seek(to: 0)
        var descriptors: [any DescriptorOwner] = [file, output]
        var words = [
            "batch", "--shown=\(self.output)", "--workers=\(jobs ?? processors)", "--attempts=\(attempts)", "--delay=\(attemptDelay)",
            "--compression=\(compression)",
        ]
        if let compressionLevel { words.append("--compression-level=\(compressionLevel)") }
        if let downloads { words.append("--jobs=\(downloads)") }
        if failFast { words.append("--fail-fast") }
        if json { words.append("--json") }
        if !source.noCache, let cache = CacheDirectory.standard {
            words.append("--cache=\(3 + descriptors.count)")
            descriptors.append(cache.directory)
        }
        try Helper.run(words + source.arguments() + source.limitArguments, descriptors: descriptors)
    }

    private var processors: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
