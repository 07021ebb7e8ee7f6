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
            IMAGE is an ACI (FILE, https://HOST/FILE.aci), the name of one that discovery finds (example.com/app:1.0.0,os=linux, appc:NAME), \
            a name (busybox, docker://localhost:5000/a/b:tag), a file that docker save wrote (docker-archive:FILE[:NAME]), an OCI layout \
            (oci:DIRECTORY[:REF], oci-archive:FILE[:REF]), an image of the Docker engine (docker-daemon:NAME), or - for standard input.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: FetchOptions
    @Option(
        help: ArgumentHelp(
            "Which of an image's two IDs to print: sha512, or sha256 as Rocket 0.1 did. (default: $D2A_HASH, else sha512)", valueName: "algorithm")) var hash:
        Hash?
    @Option(help: ArgumentHelp("The detached signature of an ACI. (default: FILE.asc)", valueName: "file")) var signature: String?
    @Flag(help: "Accepted: IDs are always whole.") var full = false
    @Argument(help: ArgumentHelp("What to fetch.", valueName: "image")) var images: [String]

    @Flag(help: "Print what was fetched as JSON, a line an image, and progress on standard error as JSON too.") var json = false

    enum Hash: String, ExpressibleByArgument, CaseIterable { case sha256, sha512 }

    func validate() throws {
        if signature != nil, images.count > 1 { throw ValidationError("--signature is for one image") }
        if options.source.credsStdin, images.contains("-") { throw ValidationError("standard input can't be the image and begin with a password") }
    }

    func run() throws {
        let store = try global.store()
        var options = try options.withCredentials()
        if json, !options.quiet { options.progress = options.progress ?? "json" }
        let fetcher = ImageFetcher(store: store, options: options, policy: options.pullPolicy ?? .update, signature: signature)
        for image in images {
            let fetched = try fetcher.image(image)
            if json {
                print(try CanonicalJSON.text(Fetched(image: image, fetched.record)))
                continue
            }
            switch hash ?? environmentVariable("D2A_HASH").flatMap(Hash.init(rawValue:)) ?? .sha512 {
            case .sha256: print(fetched.record.sha256)
            case .sha512: print(Rkt.isInvoked ? Rkt.key(fetched.id, full: full) : fetched.id.description)
            }
        }
    }
}

/// What `d2a fetch --json` prints.
private struct Fetched: Encodable {
    /// As it was asked for.
    var image: String
    var id: String
    var sha256: String
    var name: String
    var labels: [NamedValue]
    /// Bytes of the uncompressed ACI.
    var size: Int

    init(image: String, _ record: ImageRecord) {
        self.image = image
        (id, sha256, name, labels, size) = (record.id, record.sha256, record.name, record.labels ?? [], record.size)
    }
}

/// Which images are wanted and how registries are asked for them; handed on to the helper as they are.
struct SourceOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Which platform of a multi-platform image.", valueName: "os/arch[/variant]")) var platform: String?
    @Flag(help: "Don't verify the registry's TLS certificate.") var insecureSkipVerify = false
    @Flag(help: "Talk plain HTTP to registries that don't speak HTTPS.") var insecureAllowHttp = false
    @Option(help: ArgumentHelp("Refuse images with more data than this: bytes, or 500M, 20G. (default: 1T)", valueName: "size")) var maxSize: String?
    @Option(help: ArgumentHelp("Refuse images with more entries than this in all layers together. (default: 4000000)", valueName: "n")) var maxEntries: Int?
    @Option(help: ArgumentHelp("Refuse layers that unpack to more than this many times their size. (default: 5000)", valueName: "n")) var maxRatio: Int?
    @Option(help: ArgumentHelp("Which registry protocol to speak: v1, v2 or auto. (default: auto)", valueName: "version")) var registryVersion: String?
    @Option(help: ArgumentHelp("Log in to the registry. (default: what docker login has kept)", valueName: "user:password")) var creds: String?
    @Flag(help: "Log in with the line USER:PASSWORD that is the first of standard input.") var credsStdin = false
    @Flag(help: "Keep no downloads for the next time, and use none.") var noCache = false
    @Option(help: ArgumentHelp("Keep at most so many bytes of downloads: 500M, 20G. (default: 10G)", valueName: "size")) var cacheSize: String?
    @Option(help: ArgumentHelp("Wait so long for a connection. (default: 20)", valueName: "seconds")) var connectTimeout: Int?
    @Option(help: ArgumentHelp("Give a transfer up that brings nothing for so long. (default: 60)", valueName: "seconds")) var stallTimeout: Int?
    @Option(help: ArgumentHelp("Ask again so often after a failure that may pass. (default: 4)", valueName: "n")) var retry: Int?
    @Option(help: ArgumentHelp("Wait so long before asking again, twice as long each further time. (default: 0.5)", valueName: "seconds"))
    var retryDelay: Double?
    @Flag(help: "Show no progress.") var quiet = false

    func validate() throws {
        if credsStdin, creds != nil { throw ValidationError("--creds and --creds-stdin exclude each other") }
    }

    /// The same with the password that `--creds-stdin` stands for. Standard input is read whether a registry is asked or not: what follows
    /// may be for an app.
    func withCredentials() throws -> SourceOptions {
        guard credsStdin else { return self }
        var result = self
        result.creds = try Credential.lineOfStandardInput()
        result.credsStdin = false
        return result
    }

    /// Those that say where the image comes from.
    func arguments(insecure: InsecureOptions = []) -> [String] {
        var result: [String] = []
        if let platform { result.append("--platform=\(platform)") }
        if let registryVersion { result.append("--registry-version=\(registryVersion)") }
        if let cacheSize { result.append("--cache-size=\(cacheSize)") }
        if quiet { result.append("--quiet") }
        return result + webArguments(insecure: insecure)
    }

    /// Those that say how servers are spoken to.
    func webArguments(insecure: InsecureOptions) -> [String] {
        var result: [String] = []
        if let connectTimeout { result.append("--connect-timeout=\(connectTimeout)") }
        if let stallTimeout { result.append("--stall-timeout=\(stallTimeout)") }
        if let retry { result.append("--retry=\(retry)") }
        if let retryDelay { result.append("--retry-delay=\(retryDelay)") }
        if insecureSkipVerify || insecure.contains(.tls) { result.append("--insecure-skip-verify") }
        if insecureAllowHttp || insecure.contains(.http) { result.append("--insecure-allow-http") }
        return result
    }

    /// Those that say how large it may be.
    var limitArguments: [String] {
        var result: [String] = []
        if let maxSize { result.append("--max-size=\(maxSize)") }
        if let maxEntries { result.append("--max-entries=\(maxEntries)") }
        if let maxRatio { result.append("--max-ratio=\(maxRatio)") }
        return result
    }
}

/// How images are asked for; handed on to the helper as they are.
struct FetchOptions: ParsableArguments {
    @OptionGroup var source: SourceOptions
    @Option(help: ArgumentHelp("Which image of a file that holds several.", valueName: "name[:tag]")) var image: String?
    @Option(help: ArgumentHelp("How many layers to download at once. (default: 3)", valueName: "n")) var jobs: Int?
    @Option(
        help: ArgumentHelp(
            "Tell of downloads on standard error as bars, lines or json, or not: none. (default: bars on a terminal, else lines if it takes long)",
            valueName: "style"))
    var progress: String?
    @Option(help: ArgumentHelp("When to ask for what may be in the store: new, never or update. (default: update to fetch, new to run)", valueName: "policy"))
    var pullPolicy: PullPolicy?
    @Option(
        name: .customLong("insecure-options"),
        help: ArgumentHelp("What to do without: image (signatures), tls, http, pubkey, all-fetch, … (default: $D2A_INSECURE_OPTIONS)", valueName: "option,…"))
    var insecureOptions: InsecureOptions?
    @Flag(help: "Trust keys that discovery finds by HTTPS, and don't ask.") var trustKeysFromHttps = false

    var creds: String? { source.creds }
    var noCache: Bool { source.noCache }
    var quiet: Bool { source.quiet }
    var insecureAllowHttp: Bool { source.insecureAllowHttp }

    var insecure: InsecureOptions { insecureOptions ?? .environment }

    var trustsKeysFromHTTPS: Bool { trustKeysFromHttps || environmentVariable("D2A_TRUST_KEYS_FROM_HTTPS") != nil }

    func validate() throws {
        // What somebody wanted to do without, or not, must not be guessed.
        if let text = environmentVariable("D2A_INSECURE_OPTIONS"), InsecureOptions(argument: text) == nil {
            throw ValidationError("--insecure-options or $D2A_INSECURE_OPTIONS: \"\(text)\" is not \(InsecureOptions.allValueStrings.joined(separator: ", "))")
        }
        if let text = environmentVariable("D2A_HASH"), Fetch.Hash(rawValue: text) == nil { throw ValidationError("$D2A_HASH is sha256 or sha512") }
    }

    /// What holds where none are given.
    static var standard: FetchOptions {
        // No words can't be wrong ones.
        guard let options = try? parse([]) else { preconditionFailure("options of fetching have no defaults") }
        return options
    }

    /// Those that take no value.
    static let switches: Set<String> = ["insecure-skip-verify", "insecure-allow-http", "no-cache", "quiet", "trust-keys-from-https", "creds-stdin"]

    /// ``SourceOptions/withCredentials()``
    func withCredentials() throws -> FetchOptions {
        var result = self
        result.source = try source.withCredentials()
        return result
    }

    /// Those that say where the image comes from.
    var sourceArguments: [String] {
        var result = source.arguments(insecure: insecure)
        if let image { result.append("--image=\(image)") }
        if let jobs { result.append("--jobs=\(jobs)") }
        if let progress { result.append("--progress=\(progress)") }
        return result
    }

    var webArguments: [String] { source.webArguments(insecure: insecure) }

    var progressArguments: [String] { (progress.map { ["--progress=\($0)"] } ?? []) + (quiet ? ["--quiet"] : []) }
}
