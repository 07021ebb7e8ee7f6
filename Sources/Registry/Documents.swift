/// What of a registry's documents is read (OCI image-spec `manifest.md`, `image-index.md`; Docker's schema 2 has the same shape).
struct Descriptor: Decodable {
    struct Platform: Decodable {
        var os: String?
        var architecture: String?
        var variant: String?
    }
    var mediaType: String?
    var digest: String
    var size: Int
    var platform: Platform?
}

/// A manifest or an index: which of the two shows in what it has.
struct ManifestDocument: Decodable {
    var schemaVersion: Int?
    var mediaType: String?
    var config: Descriptor?
    var layers: [Descriptor]?
    var manifests: [Descriptor]?
}

struct ConfigDocument: Decodable {
    struct RootFS: Decodable { var diff_ids: [String]? }
    var rootfs: RootFS?
}

struct TokenDocument: Decodable {
    var token: String?
    var access_token: String?
    var expires_in: Double?
}

struct TagsDocument: Decodable { var tags: [String]? }

struct ErrorDocument: Decodable {
    struct Item: Decodable {
        var code: String?
        var message: String?
    }
    var errors: [Item]?
}

enum MediaType {
    static let ociIndex = "application/vnd.oci.image.index.v1+json"
    static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    static let accepted = [ociIndex, ociManifest, dockerList, dockerManifest].joined(separator: ", ")
}
