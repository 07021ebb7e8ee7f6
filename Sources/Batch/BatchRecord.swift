import AppC

/// What became of one image of a batch. A small file for each lies in the batch's directory: it is what a later run knows of an
/// earlier one, and what a report is made of. Nothing else is kept.
public struct BatchRecord: Sendable, Codable, Equatable {
    public enum Status: String, Sendable, Codable {
        case done, failed
        /// Done in an earlier run, and not changed since: everything else is what it was then.
        case skipped
    }

    /// Why an image failed, as people sort failures.
    public enum Cause: String, Sendable, Codable, CaseIterable {
        /// A server can't be reached, or a transfer broke off.
        case network
        /// A server can't be trusted.
        case tls
        /// A registry answers with an error, or not as a registry does.
        case registry
        /// It wants credentials, or better ones.
        case denied
        /// There is no such image, tag, platform or file.
        case missing
        /// Bytes that aren't what their digest says, or no image at all.
        case damaged
        /// It is larger than it may be.
        case limit
        /// Nothing appc knows can be made of it.
        case unsupported
        /// Another image of the list has the same file name.
        case name
        /// There is no room on the disk.
        case disk
        /// Any other failure of a file.
        case file
        case other

        /// Whether the same may succeed a moment later.
        public var isPassing: Bool {
            switch self {
            case .network, .registry, .damaged: true
            default: false
            }
        }
    }

    public struct Failure: Sendable, Codable, Equatable {
        public var cause: Cause
        /// One line, as a command that converts the image alone would print it.
        public var message: String
        /// What to do next, where there is something to say.
        public var hint: String?

        public init(cause: Cause, message: String, hint: String?) { (self.cause, self.message, self.hint) = (cause, message, hint) }
    }

    public struct Layer: Sendable, Codable, Equatable {
        /// Of the bytes as served; of the uncompressed ones where those have none.
        public var digest: String
        /// Bytes as served.
        public var size: Int

        public init(digest: String, size: Int) { (self.digest, self.size) = (digest, size) }
    }

    /// Seconds by stage, of the last attempt.
    public struct Seconds: Sendable, Codable, Equatable {
        /// Until the manifest and the configuration were here.
        public var manifest = 0.0
        /// Waiting for layers.
        public var layers = 0.0
        /// All the rest: inflating, squashing, writing.
        public var convert = 0.0

        public init() {}
        public var total: Double { manifest + layers + convert }
    }

    public var version = 1
    public var reference: String
    public var options: BatchItem.Options
    public var status: Status
    /// How often it was tried in the last run that did.
    public var attempts = 1
    /// When that ended, in seconds since 1970.
    public var time = 0
    public var seconds = Seconds()

    /// Of the manifest, or index, that the reference leads to; nil for archives.
    public var manifestDigest: String?
    /// What the ACI's bytes depend on beside the image: compression and platform.
    public var settings: String?
    /// Size and time of the file that the image is in; nil for what is in no file.
    public var stamp: String?
    /// What Docker calls the image: the digest of its configuration.
    public var imageID: String?
    /// Base first.
    public var layers: [Layer]?
    /// Bytes of the layers as served.
    public var sizeBefore: Int?

    /// The ACI's file, in the batch's directory; nil where there is none.
    public var output: String?
    /// Bytes of the ACI.
    public var sizeAfter: Int?
    /// `sha512-…`, where it was added to the store.
    public var storeID: String?
    /// Where the task that made the ACI has published it: place and file.
    public var published: String?
    /// The ACI's name and labels (appc spec `aci.md`).
    public var name: String?
    public var labels: [NamedValue]?

    public var failure: Failure?

    public init(_ item: BatchItem, _ status: Status = .failed) { (reference, options, self.status) = (item.reference, item.options, status) }

    public var item: BatchItem { BatchItem(reference, options) }
    public var isDone: Bool { status != .failed }
}
