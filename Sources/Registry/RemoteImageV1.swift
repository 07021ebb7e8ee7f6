import AppC
import Digest
import Files
import Image
import Reference
import Threads
import Transport

/// An image by the first protocol (docker registry API 0.9): an index says where images are, and each layer is an image that stands
/// on its parent. Nothing is named by its bytes; checksums are checked where a registry gives them.
struct RemoteImageV1: RemoteImage {
    let image: SourceImage
    private let server: RegistryServer
    private let access: Access
    /// Base first.
    private let layers: [Layer]

    private struct Layer: Sendable {
        var id: String
        var json: [UInt8]
        /// Of the JSON, a line feed, and the layer as it is served.
        var checksum: Digest?
    }

    /// What the index gives for a repository.
    private struct Access: Sendable {
        /// `https://host`
        var endpoints: [String]
        var token: String?
        var cookie: String?
        /// The host that the cookie is for.
        var host: String

        func secrets(for address: WebAddress) -> [(String, String)] {
            (token.map { [("Authorization", "Token \($0)")] } ?? []) + (address.host == host ? cookie.map { [("Cookie", $0)] } ?? [] : [])
        }
    }

    private struct Document: Decodable {
        var id: String
        var parent: String?
    }

    private static let limit = 16 << 20

    init(_ server: RegistryServer, named: ImageReference) throws {
        self.server = server
        let reference = server.reference
        guard let tag = reference.tag, reference.digest == nil else { throw RegistryError.digestNotFound(reference) }
        let access = try Self.access(server)
        self.access = access
        let id = try Self.id(of: tag, server, access)

        let ancestry = try Self.decode([String].self, Self.get("images/\(id)/ancestry", server, access).body, "the ancestry of \(id)", server)
        for other in ancestry where !LegacyID.isValid(other) { throw RegistryError.invalid(reference, reason: "\"\(other)\" is not the id of an image") }
        guard ancestry.first == id, Set(ancestry).count == ancestry.count else {
            throw RegistryError.invalid(reference, reason: "the ancestry of \(id) goes in a circle or begins elsewhere")
        }
        layers = try ancestry.indices.reversed().map { number in
            let (response, json) = try Self.get("images/\(ancestry[number])/json", server, access)
            let document = try Self.decode(Document.self, json, "the configuration of \(ancestry[number])", server)
            let parent = number + 1 < ancestry.count ? ancestry[number + 1] : nil
            guard document.id == ancestry[number], document.parent.flatMap({ $0.isEmpty ? nil : $0 }) == parent else {
                throw RegistryError.invalid(reference, reason: "image \(ancestry[number]) has another parent than its ancestry says")
            }
            return Layer(id: ancestry[number], json: json, checksum: response.headers["x-docker-checksum-payload"].flatMap { Digest($0) })
        }
        let name = ImageName(registry: named.registry, repository: named.repository, tag: named.tag, original: named.original)
        image = SourceImage(
            name: name, config: layers.last!.json, id: id, manifestDigest: nil,
            layers: layers.map { LayerDescriptor(digest: nil, diffID: nil, size: nil, imageID: $0.id) })
    }

    func key(_ layer: Int) -> String { layers[layer].id }

    func download(_ layer: Int, into file: OpenFile, progress: @escaping (Int) throws -> Void) throws {
        let wanted = layers[layer]
        try Self.eachEndpoint(server, access) { base in
            guard let address = WebAddress("\(base)/v1/images/\(wanted.id)/layer") else { throw Self.noAddress(server) }
            try file.restart()
            try server.download("layer \(wanted.id)", size: nil, expected: wanted.checksum, prefix: wanted.json + [0x0A], into: file, progress: progress) {
                try server.http.get(address, headers: $0, secrets: access.secrets(for: address), body: $1)
            }
        }
    }

    // MARK: The index

    private static func access(_ server: RegistryServer) throws -> Access {
        let base = try server.base(asking: "/v1/_ping") { guard $0.isSuccess else { throw RegistryError.otherProtocol(server.reference) } }
        guard let address = WebAddress("\(base)/v1/repositories/\(server.reference.repository)/images") else { throw noAddress(server) }
        var secrets: [(String, String)] = []
        if case .basic(let encoded)? = server.credential { secrets = [("Authorization", "Basic \(encoded)")] }
        let (response, _) = try server.http.get(address, headers: [("X-Docker-Token", "true")], secrets: secrets, limit: limit)
        if response.status == 404 { throw RegistryError.repositoryNotFound(server.reference) }
        guard response.isSuccess else { throw server.refusal(response, what: "the images of \(server.reference.repository)") }
        let hosts = response.headers.all("x-docker-endpoints").flatMap { $0.split(separator: ",") }.map { $0.filter { !$0.isWhitespace } }.filter {
            !$0.isEmpty
        }
        let cookies = response.headers.all("set-cookie").compactMap { $0.split(separator: ";").first }.map { $0.drop { $0 == " " } }
        return Access(
            endpoints: hosts.isEmpty ? [base] : hosts.map { "\(address.scheme)://\($0)" }, token: response.headers["x-docker-token"],
            cookie: cookies.isEmpty ? nil : cookies.joined(separator: "; "), host: address.host)
    }

    private static func id(of tag: String, _ server: RegistryServer, _ access: Access) throws -> String {
        let reference = server.reference
        let body = try get("repositories/\(reference.repository)/tags", server, access).body
        var tags: [String: String] = [:]
        switch try decode(JSONValue.self, body, "the list of tags", server) {
        case .object(let members): tags = members.compactMapValues(\.string)
        case .array(let items):
            for item in items { if let name = item["name"]?.string, let id = item["layer"]?.string { tags[name] = id } }
        default: break
        }
        guard let id = tags[tag] else { throw RegistryError.tagNotFound(reference, tags: tags.keys.sorted()) }
        guard LegacyID.isValid(id) else { throw RegistryError.invalid(reference, reason: "\"\(id)\" is not the id of an image") }
        return id
    }

    // MARK: Requests

    private static func get(_ path: String, _ server: RegistryServer, _ access: Access) throws -> (response: HTTPResponse, body: [UInt8]) {
        try eachEndpoint(server, access) { base in
            guard let address = WebAddress("\(base)/v1/\(path)") else { throw noAddress(server) }
            let answer = try server.http.get(address, secrets: access.secrets(for: address), limit: limit)
            if answer.response.status == 404 { throw RegistryError.repositoryNotFound(server.reference) }
            guard answer.response.isSuccess else { throw server.refusal(answer.response, what: path) }
            return answer
        }
    }

    /// Tries one endpoint after the other; the last one's failure is told.
    private static func eachEndpoint<T>(_ server: RegistryServer, _ access: Access, _ body: (_ base: String) throws -> T) throws -> T {
        var failure: (any Error)?
        for base in access.endpoints {
            do { return try body(base) } catch let error where error is RegistryError || error is TransportError { failure = error }
        }
        throw failure ?? noAddress(server)
    }

    private static func noAddress(_ server: RegistryServer) -> RegistryError { .invalid(server.reference, reason: "its registry names no endpoint") }

    private static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String, _ server: RegistryServer) throws -> T {
        do { return try CanonicalJSON.decode(type, from: bytes) } catch { throw RegistryError.invalid(server.reference, reason: "\(what) can't be understood") }
    }
}
