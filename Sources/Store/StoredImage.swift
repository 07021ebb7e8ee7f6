import AppC
import Digest
import Files

/// An image of the store with its file open: whoever has one may use it to the end, also where it is removed meanwhile.
public struct StoredImage: Sendable {
    public let id: ImageID
    public let record: ImageRecord
    public let manifest: ImageManifest
    /// The manifest's own, at its beginning.
    public let manifestFile: OpenFile
    /// The uncompressed tar.
    public let blob: OpenFile
}
