import AppC
import ArgumentParser
import Cache
import Credentials
import Digest
import Files
import Glibc
import Location
import Reference
import Store
import Subprocess

/// `d2a fetch`: an image into the store.
struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch images into the store and print their IDs.",
        discussion: """
            IMAGE is a name (busybox, docker://localhost:5000/a/b:tag), a file that docker save wrote (docker-archive:FILE[:NAME]), an OCI layout \
            (oci:DIRECTORY[:REF], oci-archive:FILE[:REF]), an image of the Docker engine (docker-daemon:NAME), or - for standard input.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: FetchOptions
    @Argument(help: ArgumentHelp("What to fetch.", valueName: "image")) var images: [String]

    func run() throws {
        let store = try global.store()
        for image in images { print(try store.fetch(image, options).id) }
    }
}

/// How images are asked for; handed on to the helper as they are.
struct FetchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Which image of a file that holds several.", valueName: "name[:tag]")) var image: String?
    @Option(help: ArgumentHelp("Which platform of a multi-platform image.", valueName: "os/arch[/variant]")) var platform: String?
    @Flag(help: "Don't verify the registry's TLS certificate.") var insecureSkipVerify = false
    @Flag(help: "Talk plain HTTP to registries that don't speak HTTPS.") var insecureAllowHttp = false
    @Option(help: ArgumentHelp("Refuse images with more data than this: bytes, or 500M, 20G. (default: 1T)", valueName: "size")) var maxSize: String?
    @Option(help: ArgumentHelp("Refuse images with more entries than this in all layers together. (default: 4000000)", valueName: "n")) var maxEntries: Int?
    @Option(help: ArgumentHelp("Refuse layers that unpack to more than this many times their size. (default: 5000)", valueName: "n")) var maxRatio: Int?
    @Option(help: ArgumentHelp("Which registry protocol to speak: v1, v2 or auto. (default: auto)", valueName: "version")) var registryVersion: String?
    @Option(help: ArgumentHelp("Log in to the registry. (default: what docker login has kept)", valueName: "user:password")) var creds: String?
    @Flag(help: "Keep no downloads for the next time, and use none.") var noCache = false
    @Option(help: ArgumentHelp("Keep at most so many bytes of downloads: 500M, 20G. (default: 10G)", valueName: "size")) var cacheSize: String?
    @Option(help: ArgumentHelp("How many layers to download at once. (default: 3)", valueName: "n")) var jobs: Int?
    @Option(help: ArgumentHelp("Wait so long for a connection. (default: 20)", valueName: "seconds")) var connectTimeout: Int?
    @Option(help: ArgumentHelp("Give a transfer up that brings nothing for so long. (default: 60)", valueName: "seconds")) var stallTimeout: Int?
    @Option(help: ArgumentHelp("Ask again so often after a failure that may pass. (default: 4)", valueName: "n")) var retry: Int?
    @Option(help: ArgumentHelp("Wait so long before asking again, twice as long each further time. (default: 0.5)", valueName: "seconds"))
    var retryDelay: Double?
    @Flag(help: "Show no progress.") var quiet = false

    /// Those that take no value.
    static let switches: Set<String> = ["insecure-skip-verify", "insecure-allow-http", "no-cache", "quiet"]

    var arguments: [String] {
        var result = sourceArguments
        if let maxSize { result.append("--max-size=\(maxSize)") }
        if let maxEntries { result.append("--max-entries=\(maxEntries)") }
        if let maxRatio { result.append("--max-ratio=\(maxRatio)") }
        return result
    }

    /// Those that say where the image comes from.
    var sourceArguments: [String] {
        var result: [String] = []
        if let image { result.append("--image=\(image)") }
        if let platform { result.append("--platform=\(platform)") }
        if let registryVersion { result.append("--registry-version=\(registryVersion)") }
        if let cacheSize { result.append("--cache-size=\(cacheSize)") }
        if let jobs { result.append("--jobs=\(jobs)") }
        if let connectTimeout { result.append("--connect-timeout=\(connectTimeout)") }
        if let stallTimeout { result.append("--stall-timeout=\(stallTimeout)") }
        if let retry { result.append("--retry=\(retry)") }
        if let retryDelay { result.append("--retry-delay=\(retryDelay)") }
        if insecureSkipVerify { result.append("--insecure-skip-verify") }
        if insecureAllowHttp { result.append("--insecure-allow-http") }
        if quiet { result.append("--quiet") }
        return result
    }
}

extension ImageStore {
    /// Lets the helper fetch and convert an image, and keeps what it made.
    ///
    /// The helper gets a file to write, a pipe to report by and a directory for temporary files, and no path of the store.
    func fetch(_ image: String, _ options: FetchOptions) throws -> StoredImage {
        let location = try ImageLocation(image)
        let opened = try location.open()
        let workspace = try Workspace(self)
        let blob = try workspace.directory.file(Workspace.blobName, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        // Large enough for any manifest, so that the helper never waits for us: a file, not a pipe.
        let report = try workspace.directory.unnamedFile()
        var arguments = ["fetch"] + options.arguments
        var descriptors: [any DescriptorOwner] = [blob, report, workspace.directory]
        if let opened {
            arguments.append("--opened")
            descriptors.append(opened)
        } else if let reference = location.reference {
            arguments.append("--access")
            descriptors.append(try Helper.file(of: RegistryAccess(option: options.creds, for: reference), in: workspace.directory))
        }
        if !options.noCache, location.reference != nil, let cache = CacheDirectory.standard {
            arguments.append("--cache=\(3 + descriptors.count)")
            descriptors.append(cache.directory)
        }
        try Helper.run(arguments + ["--", image], descriptors: descriptors)

        try report.seek(to: 0)
        let result: FetchReport
        let manifest: ImageManifest
        do {
            result = try CanonicalJSON.decode(FetchReport.self, from: report.readAll(limit: 64 << 20))
            manifest = try CanonicalJSON.decode(ImageManifest.self, from: Array(result.manifest.utf8))
        } catch {
            throw StoreError.damaged(path: "the helper's report")
        }
        let record = ImageRecord(id: result.id, sha256: result.sha256, manifest: manifest, size: try blob.size(), importTime: time(nil))
        return try add(record, manifest: Array(result.manifest.utf8), blob: blob, from: workspace, name: location.reference)
    }
}

/// The program that has what this one leaves out: networks, archives, compression.
enum Helper {
    /// - Throws: the helper's exit status where it failed; it has said why.
    static func run(_ arguments: [String], descriptors: [any DescriptorOwner]) throws {
        let status = try runProgram(companionProgram("d2a-image"), arguments, descriptors: descriptors)
        guard status == 0 else { throw ExitCode(status) }
    }

    /// How a registry lets us in, in a file without a name: the helper may not read ours, and words of a command line can be seen.
    static func file(of access: RegistryAccess, in directory: Directory) throws -> OpenFile {
        let file = try directory.unnamedFile()
        try file.write(CanonicalJSON.text(access))
        try file.seek(to: 0)
        return file
    }
}
