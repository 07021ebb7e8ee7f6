import AppC

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
    /// Other places where the bytes may be (OCI image-spec `descriptor.md`).
    var urls: [String]?

    /// Whether registries don't have it: its owner gives it out alone.
    var isForeign: Bool { mediaType.map { $0.contains(".foreign.") || $0.contains(".nondistributable.") } ?? false }
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

    /// What a registry says of an error.
    static func reason(_ body: [UInt8]) -> String {
        guard let document = try? CanonicalJSON.decode(ErrorDocument.self, from: body), let first = document.errors?.first else { return "" }
        return [first.code, first.message].compactMap(\.self).joined(separator: ": ")
    }
}

enum MediaType {
    static let ociIndex = "application/vnd.oci.image.index.v1+json"
    static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
    static let dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    static let dockerSigned = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    static let dockerUnsigned = "application/vnd.docker.distribution.manifest.v1+json"
    static let accepted = [ociIndex, ociManifest, dockerList, dockerManifest, dockerSigned, dockerUnsigned].joined(separator: ", ")
}
