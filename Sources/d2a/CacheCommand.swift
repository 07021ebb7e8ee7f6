import AppC
import ArgumentParser
import Cache
import Credentials
import Diagnostics
import Digest
import Files
import Glibc
import Location
import Program

/// `d2a cache`: the downloads that are kept for the next time.
struct Cache: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Look at the downloads that are kept for the next time, remove them, or make more.",
        discussion: """
            Layers and manifests as registries served them, shared by all commands. They are in $D2A_CACHE, else /var/cache/d2a for root, else \
            $XDG_CACHE_HOME/d2a or ~/.cache/d2a; whatever is used is checked, and what was used longest ago goes first.
            """,
        subcommands: [List.self, Prune.self, Fill.self])

    /// - Throws: ``NoCache``
    private static func open() throws -> CacheDirectory {
        guard let directory = CacheDirectory.standard else { throw NoCache() }
        return directory
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List what is kept, the one that was used last at the end.")

        @Flag(help: "Show whole digests, and sizes in bytes.") var full = false
        @Flag(help: "Leave out the line of headings.") var noLegend = false
        @Flag(help: "Print JSON.") var json = false

        private struct Row: Encodable {
            var digest: String
            var size: Int
            var lastUse: Int
        }

        func run() throws {
            let entries = try Cache.open().entries()
            if json {
                print(try CanonicalJSON.text(entries.map { Row(digest: $0.digest.description, size: $0.size, lastUse: $0.lastUse) }))
                return
            }
            var rows = entries.map { entry in
                let digest = entry.digest.description
                return [full ? digest : String(digest.prefix(19)), full ? String(entry.size) : Human.size(entry.size), Human.time(entry.lastUse)]
            }
            if !noLegend { rows.insert(["DIGEST", "SIZE", "LAST USE"], at: 0) }
            print(Table.text(rows), terminator: "")
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "prune", abstract: "Remove what is kept, what was used longest ago first.")

        @Option(help: ArgumentHelp("Leave so many bytes: 500M, 20G. (default: 0)", valueName: "size")) var keep = "0"
        @Flag(help: "Print JSON.") var json = false

        func validate() throws { _ = try limit() }

        private func limit() throws -> Int {
            guard let bytes = ByteCount.bytes(keep) else { throw ValidationError("--keep \(keep): give a size like 500M or 20G") }
            return bytes
        }

        func run() throws {
            let freed = try Cache.open().trim(to: limit())
            print(json ? try CanonicalJSON.text(["freed": freed]) : "freed \(Human.size(freed))")
        }
    }

    struct Fill: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fill",
            abstract: "Download images into the cache, and convert nothing.",
            discussion: "For batches and machines that lose their network: what is fetched later comes from here, but for the name's own manifest.")

        @OptionGroup var options: FetchOptions
        @Flag(help: "Print what is there then as JSON, a line an image, and progress on standard error as JSON too.") var json = false
        @Argument(help: ArgumentHelp("Images of registries.", valueName: "image")) var images: [String]

        func run() throws {
            let cache = try Cache.open()
            var options = try options.withCredentials()
            if json, !options.quiet { options.progress = options.progress ?? "json" }
            for image in images {
                guard let reference = try ImageLocation(image).reference else { throw NotInRegistry(image: image) }
                let access = try Helper.file(of: RegistryAccess(option: options.creds, for: reference), in: cache.directory)
                try Helper.run(
                    ["fill"] + options.sourceArguments + (json ? ["--json"] : []) + ["--access", "--", image], descriptors: [cache.directory, access])
            }
        }
    }
}

/// What isn't downloaded is not kept either.
struct NotInRegistry: DiagnosedError {
    var image: String
    var diagnosis: Diagnosis { Diagnosis("\(image) is not in a registry", hint: "only what is downloaded from one is kept; d2a fetch takes anything") }
}

/// No cache can be kept.
struct NoCache: DiagnosedError {
    var diagnosis: Diagnosis { Diagnosis("there is no place for a cache that can be written to", hint: "set D2A_CACHE to a directory of yours") }
}
