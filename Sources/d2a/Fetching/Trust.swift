import ArgumentParser
import Diagnostics
import Files
import Glibc
import Program
import Store
import Trust

/// `d2a trust`: a key that images may be signed by.
struct TrustKeys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Trust a key to sign images.",
        discussion: """
            KEY is a file or an https URL of an OpenPGP public key. Without one, the keys that discovery finds for the prefix are asked for. \
            The key is kept in /etc/d2a/trustedkeys; those in /etc/rkt and /usr/lib/rkt count as well.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: FetchOptions
    @Option(help: ArgumentHelp("For images whose names begin so.", valueName: "name")) var prefix: String?
    @Flag(help: "For all images.") var root = false
    @Flag(help: "Don't ask whether the fingerprint is the right one.") var skipFingerprintReview = false
    @Argument(help: ArgumentHelp("Keys.", valueName: "key")) var keys: [String] = []

    func validate() throws {
        guard root != (prefix != nil) else { throw ValidationError("give --prefix=NAME, or --root for all images") }
        if root, keys.isEmpty { throw ValidationError("--root needs a key: nobody can be asked for it") }
    }

    func run() throws {
        let store = try global.store()
        var places = keys
        if places.isEmpty, let prefix {
            places = try Helper.discover(.init(name: prefix), options).keys
            guard !places.isEmpty else { throw FetchError.noKeyDiscovered(prefix) }
        }
        for place in places { try KeyReview(options: options, store: store, skip: skipFingerprintReview).trust(place, prefix: prefix, discovered: false) }
    }
}

/// Shows a person whose key it is, and keeps it where the answer is yes.
struct KeyReview {
    let options: FetchOptions
    let store: ImageStore
    var skip = false

    /// - Parameters:
    ///   - place: a file or a URL.
    ///   - discovered: whether a server offers the key, and nobody has named it.
    func trust(_ place: String, prefix: String?, discovered: Bool) throws {
        let workspace = try Workspace(store)
        let file = try open(place, workspace)
        let armored = try file.readAll(limit: 1 << 20)
        let listing = String(decoding: try GnuPG.run(.show, file, workspace.directory), as: UTF8.self)
        let lines = listing.split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false) }
        guard lines.filter({ $0[0] == "pub" }).count == 1, let fingerprint = lines.first(where: { $0[0] == "fpr" })?[9].lowercased(),
            fingerprint.utf8.count == 40
        else { throw TrustError.notAKey(place: place) }
        complain("pubkey: prefix: \"\(prefix ?? "")\"\nkey: \"\(place)\"\n")
        let groups = stride(from: 0, to: 40, by: 4).map { String(fingerprint.uppercased().dropFirst($0).prefix(4)) }
        // Who fetches reads IDs on standard output, and nothing else.
        let say = { (text: String) in
            if discovered { return complain(text + "\n") }
            print(text)
            // In its place among what goes to standard error.
            fflush(nil)
        }
        say("gpg key fingerprint is: " + groups[..<5].joined(separator: " ") + "  " + groups[5...].joined(separator: " "))
        for line in lines where line[0] == "uid" { say("\t" + printable(String(line[9]))) }
        let unasked = skip || (discovered && options.trustsKeysFromHTTPS && (place.hasPrefix("https://") || options.insecure.contains(.pubkey)))
        if !unasked {
            guard isatty(STDIN_FILENO) == 1 else { throw TrustError.noTerminal }
            guard Self.agrees() else {
                complain("pubkey: not trusting \"\(place)\"\n")
                return
            }
        }
        let kept = try KeyStore().add(armored, fingerprint: fingerprint, prefix: prefix)
        complain("Trusting \"\(place)\" \(prefix.map { "for prefix \"\($0)\" " } ?? "")\(unasked ? "without" : "after") fingerprint review.\n")
        complain(prefix.map { "Added key for prefix \"\($0)\" at \"\(kept)\"\n" } ?? "Added root key at \"\(kept)\"\n")
    }

    private static func agrees() -> Bool {
        complain("Are you sure you want to trust this key (yes/no)?\n")
        while let line = readLine() {
            if line == "yes" { return true }
            if line == "no" { return false }
            complain("Please enter 'yes' or 'no'\n")
        }
        return false
    }

    private func open(_ place: String, _ workspace: Workspace) throws -> OpenFile {
        let isHTTP = place.hasPrefix("http://")
        guard isHTTP || place.hasPrefix("https://") else { return try OpenFile.open(place) }
        guard !isHTTP || options.insecure.contains(.pubkey) || options.insecureAllowHttp else { throw TrustError.plainHTTP(place: place) }
        let directory = try workspace.directory.make("key", mode: 0o700)
        let (report, unused) = (try workspace.directory.unnamedFile(), try workspace.directory.unnamedFile())
        try Helper.run(
            ["download", "--quiet", "--limit=1048576"] + options.webArguments + ["--", place], descriptors: [directory, report, unused, Helper.webAccess()])
        let answer = try Helper.read(DownloadReport.self, from: report)
        guard answer.status == 200 else { throw FetchError.badStatus(place, answer.status) }
        return try directory.file(Download.dataName)
    }
}
