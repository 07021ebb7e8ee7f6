import Digest
import Files

/// An image as a source offers it: names, configuration and layers, before anything is converted.
public struct SourceImage: Sendable {
    public var name: ImageName
    /// The configuration, byte for byte as the source has it (OCI image-spec `config.md`; Docker's is the same shape).
    public var config: [UInt8]
    /// What Docker calls the image: the digest of its configuration; before 2016, a number that was drawn for it.
    public var id: String
    /// Digest of the manifest as it was served; nil where the source has none (a `docker save` file).
    public var manifestDigest: Digest?
    /// Base first.
    public var layers: [LayerDescriptor]

    public init(name: ImageName, config: [UInt8], id: String, manifestDigest: Digest?, layers: [LayerDescriptor]) {
        self.name = name
        self.config = config
        self.id = id
        self.manifestDigest = manifestDigest
        self.layers = layers
    }
}

/// What an image is called, as far as its source knows.
public struct ImageName: Sendable, Hashable {
    /// Host and port; nil where the image never came from a registry.
    public var registry: String?
    /// `library/busybox`
    public var repository: String
    public var tag: String?
    /// As the person typed it.
    public var original: String

    public init(registry: String?, repository: String, tag: String?, original: String) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.original = original
    }
}

/// One layer, as the image's manifest and configuration describe it (OCI image-spec `descriptor.md`).
public struct LayerDescriptor: Sendable, Hashable {
    /// Of the bytes as served, perhaps compressed; nil where the source doesn't say.
    public var digest: Digest?
    /// Of the uncompressed tar, from the configuration's `rootfs.diff_ids`; nil where unknown.
    public var diffID: Digest?
    /// Bytes as served; nil where unknown.
    public var size: Int?
    /// Of the image that ends with this layer, where images were numbered (before 2016).
    public var imageID: String?

    public init(digest: Digest?, diffID: Digest?, size: Int?, imageID: String? = nil) {
        self.digest = digest
        self.diffID = diffID
        self.size = size
        self.imageID = imageID
    }

    /// What names the layer, and what messages call it.
    public var label: String { (digest ?? diffID)?.description ?? imageID ?? "layer" }
}

/// A layer's bytes as served: a region of a file. It can be read any number of times, by any thread.
public struct LayerBlob: Sendable {
    public let file: OpenFile
    public let offset: Int
    public let length: Int
    /// Where bytes still come: waits until there are more than so many, or all, and says how many there are then.
    public let arrival: (@Sendable (_ position: Int) throws -> Int)?

    public init(file: OpenFile, offset: Int, length: Int, arrival: (@Sendable (_ position: Int) throws -> Int)? = nil) {
        self.file = file
        self.offset = offset
        self.length = length
        self.arrival = arrival
    }
}

/// Where an image comes from: a registry, an archive, a layout.
public protocol ImageSource: Sendable {
    /// Names, configuration and the list of layers. May talk to the network; cheap the second time.
    func image() throws -> SourceImage

    /// The bytes of layer `index` (base is 0). Blocks until all of them are here and their digest is checked.
    /// May be called from several threads.
    func blob(_ index: Int) throws -> LayerBlob

    /// Like ``blob(_:)``, but bytes may be read while they come, before their digest is checked: whoever does checks them
    /// by the layer's diff ID, and keeps nothing before ``blob(_:)`` has returned.
    func arriving(_ index: Int) throws -> LayerBlob

    /// Like ``arriving(_:)``, or nothing where the layer is far from coming: good for a guess.
    func beginning(_ index: Int) throws -> LayerBlob

    /// Says which layers will be wanted, where they come only when they are.
    func prefetch(_ wanted: (LayerDescriptor) -> Bool) throws

    /// The digest that ``image()`` would have for the manifest, found out in the cheapest way; nil where there is none.
    func manifestDigest() throws -> Digest?

    /// Nobody wants more: whoever waits for bytes is let go, with an error.
    func giveUp()

    /// The image can't be used: nothing of it that came just now is kept for others.
    func refuse()
}

extension ImageSource {
    public func arriving(_ index: Int) throws -> LayerBlob { try blob(index) }
    public func beginning(_ index: Int) throws -> LayerBlob { try blob(index) }
    public func prefetch(_ wanted: (LayerDescriptor) -> Bool) {}
    public func manifestDigest() -> Digest? { nil }
    public func giveUp() {}
    public func refuse() { giveUp() }
}

/// What a source tells while it works, for whoever draws progress.
public enum SourceEvent: Sendable {
    /// What there is: each blob once.
    case found(layers: [LayerDescriptor])
    /// A layer's download begins.
    case started(layer: LayerDescriptor)
    /// So many bytes of it are here now.
    case received(layer: LayerDescriptor, bytes: Int)
    /// All of it is here; without the others before where it was here already.
    case finished(layer: LayerDescriptor)
}
