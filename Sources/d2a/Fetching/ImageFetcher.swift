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
import Reference
import Store
import Trust

/// Gets images into the store, from wherever they are, with all that they are built on.
struct ImageFetcher {
    let store: ImageStore
    let policy: PullPolicy
    /// The file of the image's signature; nil where that lies beside the image. What it is built on has its own.
    let signature: String?
    private let given: FetchOptions?
    private var options: FetchOptions { given ?? .standard }

    /// - Parameter options: nil where none are given.
    init(store: ImageStore, options: FetchOptions?, policy: PullPolicy, signature: String? = nil) {
        (self.store, given, self.policy, self.signature) = (store, options, policy, signature)
    }

    private var keys: KeyStore { KeyStore() }

    /// An image as a person names it.
    func image(_ text: String) throws -> StoredImage {
        let image = try single(ImageArgument(text), text)
        try fetchDependencies(of: image, below: [image.id])
        return image
    }

    /// An ACI that was made here of an image of Docker's, which has this name.
    func converted(_ file: OpenFile, called reference: ImageReference?) throws -> StoredImage {
        try convert(.file(path: file.path, image: nil), file.path, opened: file, called: reference)
    }

    private func single(_ argument: ImageArgument, _ text: String) throws -> StoredImage {
        switch argument {
        case .stored(let prefix): return try store.open(store.resolve(prefix))
        case .web(let url):
            if policy != .update, let found = try store.resolve(url: url) { return try store.open(found.id) }
            try checkPolicy(Self.shown(url))
            return try download(url, signature: nil, name: nil)
        case .appc(let name): return try discover(name)
        case .either(let reference, let name):
            // Whose keys were trusted says that it is an appc image; so does what is stored.
            if keys.hasPrefixKeys(for: name.name) { return try discover(name) }
            if policy != .update {
                if let id = try store.resolve(reference) ?? store.resolve(name: name.name, labels: name.labels) { return try store.open(id) }
                try checkPolicy(text)
            }
            do { return try convert(.registry(reference), text, missing: true) } catch is NotThere {
                let found = try Helper.discover(name, options)
                if !found.endpoints.isEmpty { return try discover(name, found) }
                return try convert(.registry(reference), text)
            }
        case .place(let location):
            if policy != .update, let reference = location.reference {
                if let id = try store.resolve(reference) { return try store.open(id) }
                try checkPolicy(text)
            }
            return try convert(location, text)
        }
    }

    private func checkPolicy(_ text: String) throws {
        if policy == .never { throw StoreError.noSuchImage(text) }
    }

    // MARK: Appc names

    private func discover(_ wanted: AppName, _ found: DiscoveredImage? = nil) throws -> StoredImage {
        if policy != .update, let id = try store.resolve(name: wanted.name, labels: wanted.labels) { return try store.open(id) }
        try checkPolicy(wanted.description)
        let found = try found ?? Helper.discover(wanted, options)
        guard !found.endpoints.isEmpty else { throw FetchError.notDiscovered(wanted) }
        if !options.insecure.contains(.image), keys.keys(for: wanted.name).isEmpty {
            // Where nobody can be asked, the image's own check says what is missing.
            for key in options.trustsKeysFromHTTPS || isatty(STDIN_FILENO) == 1 ? found.keys : [] {
                try KeyReview(options: options, store: store).trust(key, prefix: wanted.name, discovered: true)
            }
        }
        var failure: (any Error)?
        for endpoint in found.endpoints {
            do { return try download(endpoint.image, signature: endpoint.signature, name: wanted) } catch FetchError.badStatus(let url, let status) {
                failure = failure ?? FetchError.badStatus(url, status)
            }
        }
        throw failure!
    }

    // MARK: The web

    /// - Parameters:
    ///   - signature: where that is; beside the image where it isn't said.
    ///   - name: what the image must be; nil for any.
    private func download(_ url: String, signature: String?, name: AppName?) throws -> StoredImage {
        let checks = !options.insecure.contains(.image)
        while true {
            let known = try store.resolve(url: url)
            // What was once taken without a signature is not good for those who want one.
            let usable = known.flatMap { !checks || $0.remote.verified ? $0 : nil }
            if let usable, usable.remote.isFresh(at: time(nil)) { return try store.open(usable.id) }
            guard let download = try Download.of(url, in: store) else { continue }
            let workspace = try Workspace(store)
            let (report, signatureFile) = (try workspace.directory.unnamedFile(), try workspace.directory.unnamedFile())
            var words = ["download", "--limit=\(Self.limit)"] + options.webArguments + options.progressArguments
            if let usable {
                if let etag = usable.remote.etag { words.append("--etag=\(etag)") }
                if let time = usable.remote.lastModified { words.append("--last-modified=\(time)") }
            }
            if checks, self.signature == nil { words.append("--signature=\(signature ?? Self.signature(of: url))") }
            try Helper.run(words + ["--", url], descriptors: [download.directory, report, signatureFile, Helper.webAccess()])
            let answer = try Helper.read(DownloadReport.self, from: report)
            var remote = RemoteCopy(
                url: url, etag: answer.etag, lastModified: answer.lastModified, maxAge: answer.maxAge, downloadTime: time(nil), verified: checks)
            if answer.status == 304, let usable {
                (remote.etag, remote.lastModified) = (answer.etag ?? usable.remote.etag, answer.lastModified ?? usable.remote.lastModified)
                remote.verified = usable.remote.verified
                try store.note(remote, of: usable.id)
                try download.remove()
                return try store.open(usable.id)
            }
            guard answer.status == 200 else {
                try download.remove()
                throw FetchError.badStatus(Self.shown(url), answer.status)
            }
            defer { try? download.remove() }
            var proof: OpenFile?
            if checks {
                if let path = self.signature {
                    proof = try OpenFile.open(path)
                } else if answer.signatureStatus == 200 {
                    proof = signatureFile
                } else {
                    throw TrustError.noSignature(image: Self.shown(url), place: Self.shown(signature ?? Self.signature(of: url)))
                }
            }
            let shown = Self.shown(url)
            return try convert(.file(path: shown, image: nil), shown, opened: download.data(), proof: proof, remote: remote, name: name)
        }
    }

    /// Nothing that is kept uncompressed may be larger, and so no download either.
    private static let limit = 1 << 40

    /// What messages call it: in a query there may be a signature or a token.
    private static func shown(_ url: String) -> String { String(url.prefix { $0 != "?" && $0 != "#" }) }

    /// `X.aci?Q` has its signature at `X.aci.asc?Q`.
    static func signature(of url: String) -> String {
        let end = url.firstIndex { $0 == "?" || $0 == "#" } ?? url.endIndex
        return url[..<end] + ".asc" + url[end...]
    }

    // MARK: What lies somewhere

    /// Lets the helper read and convert an image, and keeps what it made.
    ///
    /// The helper gets a file to write, a file to report by and a directory for temporary files, and no path of the store.
    /// - Parameters:
    ///   - opened: its file, where that is open.
    ///   - proof: a signature that it must have.
    ///   - missing: whether a name that no registry knows is no failure yet.
    private func convert(
        _ location: ImageLocation, _ text: String, missing: Bool = false, opened file: OpenFile? = nil, proof: OpenFile? = nil, remote: RemoteCopy? = nil,
        name: AppName? = nil, called reference: ImageReference? = nil
    ) throws -> StoredImage {
        var opened = try file ?? location.open()
        let workspace = try Workspace(store)
        let signatures = SignatureCheck(keys: keys, workspace: workspace.directory, quiet: options.quiet)
        var signers: [SignatureCheck.Signer]?
        if let proof = try proof ?? signatureBeside(location, file), let given = opened as? OpenFile {
            var checked = given
            if file == nil {
                // Others may write to it: what was checked is what is unpacked.
                checked = try workspace.directory.unnamedFile()
                try checked.write(contentsOf: given)
            }
            signers = try signatures.signers(of: checked, proof, image: name?.name, text)
            try checked.seek(to: 0)
            opened = checked
        }
        let blob = try workspace.directory.file(Workspace.blobName, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        // Large enough for any manifest, so that the helper never waits for us: a file, not a pipe.
        let report = try workspace.directory.unnamedFile()
        let source = try HelperSource(location, opened, options, in: workspace.directory)
        var arguments = ["fetch"] + options.source.limits.arguments + source.arguments
        let descriptors = [blob, report] + source.descriptors
        if missing { arguments.append("--missing=\(NotThere.status)") }
        do { try Helper.run(arguments + ["--", text], descriptors: descriptors) } catch let code as ExitCode where code.rawValue == NotThere.status {
            throw NotThere()
        }

        let result = try Helper.read(FetchReport.self, from: report)
        guard let manifest = try? CanonicalJSON.decode(ImageManifest.self, from: Array(result.manifest.utf8)) else {
            throw StoreError.damaged(path: "the helper's report")
        }
        if let name { try Self.check(manifest, is: name) }
        if let signers { try signatures.accept(signers, image: manifest.name) }
        var record = ImageRecord(id: result.id, sha256: result.sha256, manifest: manifest, size: try blob.size(), importTime: time(nil))
        record.remotes = remote.map { [$0] }
        if let name, name.label("version") == nil { record.latest = true }
        return try store.add(record, manifest: Array(result.manifest.utf8), blob: blob, from: workspace, name: reference ?? location.reference)
    }

    /// A file of this machine is taken as it is, unless somebody has signed it.
    private func signatureBeside(_ location: ImageLocation, _ downloaded: OpenFile?) throws -> OpenFile? {
        guard downloaded == nil, !options.insecure.contains(.image), case .file(let path, _) = location else { return nil }
        if let signature { return try OpenFile.open(signature) }
        return OpenFile.isFile(path + ".asc") ? try OpenFile.open(path + ".asc") : nil
    }

    /// What came must be what was asked for (appc spec `discovery.md#validation`).
    private static func check(_ manifest: ImageManifest, is name: AppName) throws {
        guard manifest.name == name.name else { throw FetchError.otherName(expected: name.name, actual: manifest.name) }
        for label in name.labels where manifest.label(label.name) != label.value {
            throw FetchError.otherLabel(image: name.name, label: label.name, expected: label.value, actual: manifest.label(label.name))
        }
    }

    // MARK: Dependencies

    /// - Parameter below: the images that are built on this one, and it.
    private func fetchDependencies(of image: StoredImage, below: [ImageID]) throws {
        for dependency in image.manifest.dependencies ?? [] {
            var id = try store.resolve(dependency)
            if id == nil {
                guard policy != .never else { throw StoreError.missingDependency(dependency, of: image.record.displayName) }
                let fetched: StoredImage
                do {
                    fetched = try ImageFetcher(store: store, options: options, policy: .update).discover(
                        AppName(name: dependency.imageName, labels: dependency.labels ?? []))
                } catch FetchError.notDiscovered { throw StoreError.missingDependency(dependency, of: image.record.displayName) }
                if let size = dependency.size, Int(size) != fetched.record.size {
                    try store.remove(fetched.id)
                    throw FetchError.otherSize(image: dependency.imageName, expected: Int(size), actual: fetched.record.size)
                }
                id = try store.resolve(dependency)
                guard id == fetched.id else { throw FetchError.otherImage(dependency, actual: fetched.id) }
            }
            guard let id, !below.contains(id) else { throw StoreError.dependencyLoop(image.record.displayName) }
            guard below.count < 256 else { throw StoreError.tooManyDependencies(image.record.displayName, limit: 256) }
            try fetchDependencies(of: store.open(id), below: below + [id])
        }
    }
}

/// How the helper is told where an image is that it is to read: words, and descriptors from its fifth on.
struct HelperSource {
    private(set) var arguments: [String]
    private(set) var descriptors: [any DescriptorOwner]

    /// - Parameter opened: the file or directory where it is.
    init(_ location: ImageLocation, _ opened: (any DescriptorOwner)?, _ options: FetchOptions, in directory: Directory) throws {
        arguments = options.sourceArguments
        descriptors = [directory]
        if let opened {
            arguments.append("--opened")
            descriptors.append(opened)
        } else if let reference = location.reference {
            arguments.append("--access")
            descriptors.append(try Helper.file(of: RegistryAccess(option: options.creds, for: reference), in: directory))
        }
        if !options.noCache, location.reference != nil, let cache = CacheDirectory.standard {
            arguments.append("--cache=\(5 + descriptors.count)")
            descriptors.append(cache.directory)
        }
    }
}

/// No registry has the image, and nothing was printed of it.
private struct NotThere: Error { static let status: Int32 = 3 }

/// What was fetched isn't what was asked for, or nothing was.
enum FetchError: DiagnosedError {
    case notDiscovered(AppName)
    case noKeyDiscovered(String)
    case badStatus(String, Int)
    case otherName(expected: String, actual: String)
    case otherLabel(image: String, label: String, expected: String, actual: String?)
    case otherSize(image: String, expected: Int, actual: Int)
    case otherImage(Dependency, actual: ImageID)

    var diagnosis: Diagnosis {
        switch self {
        case .notDiscovered(let name):
            Diagnosis(
                "discovery of \(name) finds no image: no page of \(name.name.split(separator: "/")[0]) says where it is",
                hint: "check the name; --insecure-options=http also asks by plain HTTP, and docker://\(name.name) is a registry's")
        case .noKeyDiscovered(let name):
            Diagnosis("discovery of \(name) finds no key: no page of \(name.split(separator: "/")[0]) says where one is", hint: "name the key: a file or a URL")
        case .badStatus(let url, let status): Diagnosis("\(url): the server answers \(status)", hint: "check the address, or try again later")
        case .otherName(let expected, let actual):
            Diagnosis("asked for \(expected), but \(actual) came", hint: "tell whoever runs the server: nothing was kept")
        case .otherLabel(let image, let label, let expected, let actual):
            Diagnosis(
                "\(image): asked for the label \(label)=\(expected), but \(actual.map { "\(label)=\($0)" } ?? "none") came", hint: "nothing was kept")
        case .otherSize(let image, let expected, let actual):
            Diagnosis("\(image) has \(actual) bytes where what is built on it says \(expected)", hint: "nothing was kept")
        case .otherImage(let dependency, let actual):
            Diagnosis(
                "\(dependency.imageName) is \(actual), and not \(dependency.imageID ?? "what was asked for")", hint: "ask whoever made what is built on it")
        }
    }
}
