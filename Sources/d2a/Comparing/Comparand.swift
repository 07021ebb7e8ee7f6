import AppC
import Files
import Glibc
import Listing
import Store

/// One side of a comparison: an image of the store, or a directory.
struct Comparand {
    private enum Place {
        case directory(Directory)
        case stored([ChainLink])
    }

    private let place: Place
    let manifest: ImageManifest?
    let id: String?

    /// What it is, in a report.
    var kind: String {
        switch place {
        case .directory: "directory"
        case .stored: "image"
        }
    }

    /// - Parameter text: a directory that is no OCI layout, or whatever names an image, which is fetched where it isn't in the store.
    init(_ text: String, _ store: ImageStore, _ options: FetchOptions) throws {
        if let directory = try? Directory.open(text), !directory.exists("oci-layout"), !directory.exists("index.json") {
            let isLayout = directory.exists("manifest") && (try? directory.directory("rootfs")) != nil
            place = .directory(isLayout ? try directory.directory("rootfs") : directory)
            manifest = isLayout ? try Helper.manifest(of: directory.file("manifest", O_RDONLY | O_NONBLOCK), text) : nil
            id = nil
        } else {
            let isNew = options.pullPolicy == .update || OpenFile.isFile(text)
            let image =
                try (isNew ? nil : try? store.find(text)).map { try store.open($0) }
                ?? ImageFetcher(store: store, options: options, policy: options.pullPolicy ?? .new).image(text)
            place = .stored(try store.chain(of: image))
            manifest = image.manifest
            id = image.id.description
        }
    }

    /// All paths of it, sorted, in a file.
    func listing(in directory: Directory) throws -> OpenFile {
        switch place {
        case .directory(let tree): try Helper.list([], [tree], tree.path, in: directory)
        case .stored(let chain):
            try Helper.list(["--spans=" + chain.map { String($0.span) }.joined(separator: ",")], chain.map(\.image.blob), "the image", in: directory)
        }
    }
}

extension Helper {
    /// A sorted list of what is in a tree (``ListingWriter``).
    static func list(_ options: [String], _ descriptors: [any DescriptorOwner], _ name: String, in directory: Directory) throws -> OpenFile {
        let listing = try directory.unnamedFile()
        // Its own: the helper gives it to whom it becomes.
        let scratch = try directory.make("list-" + String(UInt64.random(in: 0...UInt64.max), radix: 16), mode: 0o700)
        try run(["list"] + options + ["--", name], descriptors: [listing, scratch] + descriptors)
        return listing
    }

    /// The manifest of an image layout, read by the helper.
    static func manifest(of file: OpenFile, _ name: String) throws -> ImageManifest {
        let report = try OpenFile.inMemory("manifest")
        try run(["validate", "--manifest", "--report", "--", name], descriptors: [file, report])
        return try read(ImageManifest.self, from: report)
    }
}
