import AppC

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
