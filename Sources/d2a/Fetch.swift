import AppC
import ArgumentParser
import Cache
import Credentials
import Digest
import Files
import Glibc
import ImageOptions
import Location
import Reference
import Store
import Subprocess

/// `d2a fetch`: an image into the store.
struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch",
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
    @OptionGroup var choices: RegistryChoices
    @OptionGroup var limits: LimitOptions
    @Option(help: ArgumentHelp("Log in to the registry. (default: what docker login has kept)", valueName: "user:password")) var creds: String?
    @Flag(help: "Log in with the line USER:PASSWORD that is the first of standard input.") var credsStdin = false
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
    var arguments: [String] { choices.arguments + (quiet ? ["--quiet"] : []) }
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
    var noCache: Bool { source.choices.noCache }
    var quiet: Bool { source.quiet }
    var insecureAllowHttp: Bool { source.choices.servers.insecureAllowHttp }

    var insecure: InsecureOptions { insecureOptions ?? .environment }

    var trustsKeysFromHTTPS: Bool { trustKeysFromHttps || environmentVariable("D2A_TRUST_KEYS_FROM_HTTPS") != nil }

    func validate() throws {
        // What somebody wanted to do without, or not, must not be guessed.
        if let text = environmentVariable("D2A_INSECURE_OPTIONS"), InsecureOptions(argument: text) == nil {
            throw ValidationError("--insecure-options or $D2A_INSECURE_OPTIONS: \"\(text)\" is not \(InsecureOptions.allValueStrings.joined(separator: ", "))")
        }
        guard (jobs ?? 1) >= 1 else { throw ValidationError("--jobs \(jobs!): give a number of 1 or more") }
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
        var result = heedingInsecure.arguments
        if let image { result.append("--image=\(image)") }
        if let jobs { result.append("--jobs=\(jobs)") }
        if let progress { result.append("--progress=\(progress)") }
        return result
    }

    /// Those that say how servers are spoken to.
    var webArguments: [String] { heedingInsecure.choices.servers.arguments }

    /// The same where `--insecure-options` is said by the options that it stands for.
    private var heedingInsecure: SourceOptions {
        var result = source
        if insecure.contains(.tls) { result.choices.servers.insecureSkipVerify = true }
        if insecure.contains(.http) { result.choices.servers.insecureAllowHttp = true }
        return result
    }

    var progressArguments: [String] { (progress.map { ["--progress=\($0)"] } ?? []) + (quiet ? ["--quiet"] : []) }
}
