import AppC
import Files
import Program
import Publishing

/// Brings images to a place from which they are found by their names.
struct Publisher {
    private let place: any PublishingPlace
    private let url: String?
    private let renaming: Renaming
    private let signer: Signer?
    /// What is published, by its file.
    private var sources: [String: (path: String, name: PublishedName)] = [:]

    init(to place: any PublishingPlace, url: String?, renaming: Renaming, signer: Signer?) throws {
        (self.place, self.renaming, self.signer) = (place, renaming, signer)
        guard var url else {
            self.url = nil
            return
        }
        guard ["https://", "http://"].contains(where: { url.hasPrefix($0) && url.utf8.count > $0.utf8.count }),
            url.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 0x20 && !"{}\"<>".unicodeScalars.contains($0) })
        else { throw PublishingError.badURL(url) }
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url
    }

    /// - Parameters:
    ///   - place: a directory, or `s3://BUCKET[/PREFIX]`.
    ///   - name: as `--name` has it.
    ///   - key: of gpg's, to sign with.
    static func to(_ place: String, url: String?, name: String?, key: String?) throws -> Publisher {
        try Publisher(
            to: place.hasPrefix("s3://") ? ObjectPlace(place) : DirectoryPlace(place), url: url, renaming: Renaming(name), signer: key.map { try Signer($0) })
    }

    /// Publishes an ACI, with its signature.
    /// - Returns: its name, and where it will be found.
    mutating func publish(_ path: String) throws -> (name: PublishedName, url: String) {
        var file = try OpenFile.open(path)
        let report = try OpenFile.inMemory("report")
        try Helper.run(["validate", "--manifest", "--report", "--", path], descriptors: [file, report])
        let manifest = try Helper.read(ImageManifest.self, from: report)
        let name = try PublishedName(manifest, name: renaming.applied(to: manifest.name))
        let isRenamed = name.name != manifest.name
        if isRenamed {
            guard manifest.dependencies?.isEmpty ?? true else { throw PublishingError.hasDependencies(path) }
            file = try renamed(file, name.name)
        }
        if let other = sources[name.file], other.path != path { throw PublishingError.sameName(other.path, path, file: name.file) }
        sources[name.file] = (path, name)

        // The image comes last: nobody sees it without its signature.
        if let signer {
            let there = try place.read(name.file + ".asc")
            if try there.map({ try signer.hasSigned(file, $0) }) != true { try place.put(signer.signature(of: file), as: name.file + ".asc") }
        } else if !isRenamed, OpenFile.isFile(path + ".asc") {
            try place.put(OpenFile.open(path + ".asc"), as: name.file + ".asc")
        } else if try place.read(name.file + ".asc") != nil {
            // It would be good for what was there before alone.
            throw PublishingError.wasSigned(name.file)
        }
        try place.put(file, as: name.file)
        return (name, "\(url ?? "https://\(name.host)")/\(name.file)")
    }

    /// Where an image is, or will be, from what is known of it.
    func file(of name: String, labels: [NamedValue]) throws -> String { try PublishedName(renaming.applied(to: name), labels: labels).file }

    /// All that is there.
    func files() throws -> Set<String> { Set(try place.files().map(\.name)) }

    /// Publishes the key, and the page that leads to all that is there.
    func finish() throws {
        if let signer { try place.put(signer.publicKey(), as: "\(DiscoveryPage.keys)/\(signer.fingerprint).asc") }
        let page = DiscoveryPage(url: url, files: try place.files())
        if let there = try place.read(DiscoveryPage.file), !String(decoding: there, as: UTF8.self).contains(DiscoveryPage.generator) {
            complain("d2a: \(DiscoveryPage.file) isn't d2a's and stays as it is: put these tags into its head, which are in discovery.html too\n\(page.tags)")
            return try place.put(Array(page.html().utf8), as: "discovery.html")
        }
        try place.put(Array(page.html().utf8), as: DiscoveryPage.file)
    }

    private func renamed(_ file: OpenFile, _ name: String) throws -> OpenFile {
        let copy = try Directory.open(environmentVariable("TMPDIR") ?? "/tmp").unnamedFile()
        var patch = ManifestPatch()
        patch.name = name
        try file.seek(to: 0)
        try Helper.run(["patch", "--", CanonicalJSON.text(patch)], descriptors: [file, copy])
        return copy
    }
}
