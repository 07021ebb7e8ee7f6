import AppC
import Credentials
import Digest
import Files
import Glibc
import Hashing
import Manifests
import Reference
import Threads
import Transport

/// One repository of a v2 registry (OCI distribution-spec), spoken to for reading. Safe to use from several threads.
final class RegistryClient: Sendable {
    let server: RegistryServer
    private let session = Monitor(Session())

    private struct Session {
        var authorization: String?
        /// When the token is to be renewed, on the monotonic clock.
        var expires = Double.infinity
    }

    /// Bytes of a document.
    private let limit = 16 << 20

    private var reference: ImageReference { server.reference }
    private var options: RegistryOptions { server.options }
    private var http: HTTPClient { server.http }

    init(_ server: RegistryServer) { self.server = server }

    // MARK: Documents

    /// A manifest or an index by tag or digest, its bytes checked against every digest that is known of it.
    func manifest(_ name: String) throws -> (bytes: [UInt8], digest: Digest) {
        guard let digest = Digest(name) else { return try download(manifest: name) }
        return (try kept(digest) { try download(manifest: name).bytes }, digest)
    }

    /// Small blobs that were named by their digest, from the cache where there is one.
    private func kept(_ digest: Digest, _ fetch: () throws -> [UInt8]) throws -> [UInt8] {
        guard let cache = options.cache else { return try fetch() }
        return try cache.blob(digest, size: nil, scratch: cache.directory) { file in
            try fetch().withUnsafeBytes { try file.write($0) }
        }.readAll(limit: limit)
    }

    private func download(manifest name: String) throws -> (bytes: [UInt8], digest: Digest) {
        let (response, body) = try get("manifests/\(name)", accept: MediaType.accepted)
        guard response.isSuccess else { throw try manifestError(response, name) }
        let asked = Digest(name)
        // What of a signed manifest of schema 1 was signed has the digest, not the signature.
        let payload = try SchemaOne.payload(body, reference) ?? body
        let digest = StreamHasher.digest(payload, asked?.algorithm ?? .sha256)
        if let asked, asked != digest { throw RegistryError.wrongDigest(reference, what: "the manifest", expected: asked, actual: digest) }
        if let said = response.headers["docker-content-digest"].flatMap({ Digest($0) }), StreamHasher.digest(payload, said.algorithm) != said {
            throw RegistryError.wrongDigest(reference, what: "the manifest", expected: said, actual: digest)
        }
        return (payload, digest)
    }

    /// The digest of a manifest as the registry has it now; nil where it doesn't say.
    func manifestDigest(_ name: String) throws -> Digest? {
        let response = try http.retrying {
            try authorized("manifests/\(name)", [("Accept", MediaType.accepted)], method: .head) { _, _ in }
        } response: {
            $0
        }
        return response.isSuccess ? response.headers["docker-content-digest"].flatMap { Digest($0) } : nil
    }

    /// A small blob, wholly in memory.
    func document(_ digest: Digest) throws -> [UInt8] { try kept(digest) { try download(document: digest) } }

    private func download(document digest: Digest) throws -> [UInt8] {
        let (response, body) = try get("blobs/\(digest)")
        guard response.isSuccess else { throw server.refusal(response, what: "blob \(digest)") }
        let actual = StreamHasher.digest(body, digest.algorithm)
        guard actual == digest else { throw RegistryError.wrongDigest(reference, what: "blob \(digest)", expected: digest, actual: actual) }
        return body
    }

    /// Downloads a blob into an empty file, and goes on where a broken transfer stopped.
    ///
    /// - Parameters:
    ///   - urls: other places where it may be; those of a foreign layer are the only ones.
    ///   - progress: gets the bytes that are there; throws to give up.
    func download(_ digest: Digest, size: Int?, urls: [String], isForeign: Bool, into file: OpenFile, progress: @escaping (Int) throws -> Void) throws {
        var failure: (any Error)?
        if !isForeign || urls.isEmpty {
            do {
                return try server.download("layer \(digest)", size: size, expected: digest, into: file, progress: progress) {
                    try authorized("blobs/\(digest)", $0, $1)
                }
            } catch let error as RegistryError where !urls.isEmpty { failure = error }
        }
        // Whoever made the image chose these addresses: they get no credentials.
        for text in urls {
            guard let address = WebAddress(text), address.scheme == "https" || server.mayBePlain(address) else { continue }
            do {
                try file.restart()
                return try server.download("layer \(digest) (\(address.host))", size: size, expected: digest, into: file, progress: progress) {
                    try http.get(address, headers: $0, body: $1)
                }
            } catch let error where error is RegistryError || error is TransportError { failure = failure ?? error }
        }
        throw failure ?? RegistryError.invalid(reference, reason: "its layer \(digest) is at no address that may be asked")
    }

    // MARK: Requests

    /// - Parameter path: of the repository; with a slash before it, of the registry.
    func get(_ path: String, accept: String? = nil) throws -> (response: HTTPResponse, body: [UInt8]) {
        try http.retrying {
            var body: [UInt8] = []
            let response = try authorized(path, accept.map { [("Accept", $0)] } ?? []) { _, chunk in
                guard body.count + chunk.count <= limit else { throw RegistryError.invalid(reference, reason: "\(path) is longer than \(limit) bytes") }
                body.append(contentsOf: chunk)
            }
            return (response, body)
        } response: {
            $0.response
        }
    }

    /// Asks with the token at hand, and once more with a new one where that is refused.
    private func authorized(
        _ path: String, _ headers: [(String, String)], method: HTTPRequest.Method = .get, _ body: (HTTPResponse, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPResponse {
        let base = try connect()
        guard let address = WebAddress("\(base)/v2\(path.hasPrefix("/") ? "" : "/\(reference.repository)/")\(path)") else {
            throw RegistryError.invalid(reference, reason: "no web address can be made of it")
        }
        let token = session.update { $0.expires > monotonicSeconds() ? $0.authorization : nil }
        let response = try http.get(address, method: method, headers: headers, secrets: token.map { [("Authorization", $0)] } ?? [], body: body)
        guard response.status == 401, let renewed = try authorize(response) else { return response }
        return try http.get(address, method: method, headers: headers, secrets: [("Authorization", renewed)], body: body)
    }

    private func connect() throws -> String {
        try server.base(asking: "/v2/") { response in
            guard !response.isSuccess, ![401, 403].contains(response.status) else { return }
            if response.status == 404 { throw RegistryError.otherProtocol(reference) }
            throw server.refusal(response, what: "/v2/")
        }
    }

    // MARK: Tokens

    /// Gets what the registry's challenge asks for.
    /// - Returns: a new `Authorization` header; nil where there is none to be had.
    private func authorize(_ refusal: HTTPResponse) throws -> String? {
        let challenges = refusal.headers.all("www-authenticate").flatMap(Challenge.parse)
        var authorization: String?
        var life = Double.infinity
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }), let realm = bearer.parameters["realm"] {
            if case .registryToken(let token)? = server.credential {
                authorization = "Bearer \(token)"
            } else {
                let document = try token(realm, service: bearer.parameters["service"], scope: bearer.parameters["scope"])
                authorization = (document.token ?? document.access_token).map { "Bearer \($0)" }
                // A little early, so that a request under way doesn't see it expire.
                life = max(1, (document.expires_in ?? 60) * 0.9)
            }
        } else if challenges.contains(where: { $0.scheme == "basic" }), case .basic(let encoded)? = server.credential {
            authorization = "Basic \(encoded)"
        }
        guard let authorization else { return nil }
        guard Self.isHeader(authorization) else { throw RegistryError.invalid(reference, reason: "its token is none that can be sent") }
        session.update { ($0.authorization, $0.expires) = (authorization, monotonicSeconds() + life) }
        return authorization
    }

    /// Asks a token service (distribution's token specification; OAuth2 for an identity token).
    private func token(_ realm: String, service: String?, scope: String?) throws -> TokenDocument {
        let scope = scope ?? "repository:\(reference.repository):pull"
        let query = (service.map { "service=\(queryEncoded($0))&" } ?? "") + "scope=\(queryEncoded(scope))"
        let answer: (response: HTTPResponse, body: [UInt8])
        if case .identityToken(let refresh)? = server.credential {
            let address = try tokenService(at: realm)
            answer = try http.post(address, form: "grant_type=refresh_token&client_id=d2a&\(query)&refresh_token=\(queryEncoded(refresh))", limit: 1 << 20)
        } else {
            let address = try tokenService(at: realm + (realm.contains("?") ? "&" : "?") + query)
            var secrets: [(String, String)] = []
            if case .basic(let encoded)? = server.credential { secrets = [("Authorization", "Basic \(encoded)")] }
            answer = try http.get(address, secrets: secrets, limit: 1 << 20)
        }
        guard answer.response.isSuccess else {
            throw RegistryError.denied(reference, reason: server.reason(answer.response), hasCredential: server.credential != nil)
        }
        guard let document = try? CanonicalJSON.decode(TokenDocument.self, from: answer.body), document.token ?? document.access_token != nil else {
            throw RegistryError.invalid(reference, reason: "the token service at \(WebAddress(realm)?.host ?? "") gives no token")
        }
        return document
    }

    /// The token service, which is not given a credential in the clear.
    private func tokenService(at text: String) throws -> WebAddress {
        guard let address = WebAddress(text) else { throw RegistryError.invalid(reference, reason: "its token service is at no web address") }
        guard address.scheme == "https" || server.credential == nil || server.mayBePlain(address) else {
            throw RegistryError.invalid(reference, reason: "its token service at \(address.host) would get your credential without encryption")
        }
        return address
    }

    /// A value that can't smuggle another header in.
    private static func isHeader(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    // MARK: Refusals

    private func manifestError(_ response: HTTPResponse, _ name: String) throws -> RegistryError {
        guard response.status == 404 else { return server.refusal(response, what: "the manifest of \(name)") }
        guard Digest(name) == nil else { return .digestNotFound(reference) }
        // Registries use the same code for both; the list of tags tells.
        let (list, body) = try get("tags/list")
        guard list.isSuccess, let tags = try? CanonicalJSON.decode(TagsDocument.self, from: body).tags else { return .repositoryNotFound(reference) }
        return .tagNotFound(reference, tags: tags)
    }
}
