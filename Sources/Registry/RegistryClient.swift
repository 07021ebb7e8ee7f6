import AppC
import Credentials
import Digest
import Files
import Glibc
import Hashing
import Reference
import Threads
import Transport

/// One repository of a v2 registry (OCI distribution-spec), spoken to for reading. Safe to use from several threads.
final class RegistryClient: Sendable {
    let reference: ImageReference
    private let http: HTTPClient
    private let options: RegistryOptions
    private let session = Monitor(Session())

    private struct Session {
        /// `https://host:port`, known once the registry has answered.
        var base: String?
        var authorization: String?
        /// When the token is to be renewed, on the monotonic clock.
        var expires = Double.infinity
    }

    init(_ reference: ImageReference, _ options: RegistryOptions) {
        self.reference = reference
        self.options = options
        var transport = TransportOptions()
        transport.insecureSkipVerify = options.insecureSkipVerify
        transport.allowHTTP = options.allowHTTP
        http = HTTPClient(transport)
    }

    // MARK: Documents

    /// A manifest or an index by tag or digest, its bytes checked against every digest that is known of it.
    func manifest(_ name: String) throws -> (bytes: [UInt8], digest: Digest) {
        let (response, body) = try get("manifests/\(name)", accept: MediaType.accepted, limit: 16 << 20)
        guard response.isSuccess else { throw try manifestError(response, name) }
        let asked = Digest(name)
        let digest = StreamHasher.digest(body, asked?.algorithm ?? .sha256)
        if let asked, asked != digest { throw RegistryError.wrongDigest(reference, what: "the manifest", expected: asked, actual: digest) }
        if let said = response.headers["docker-content-digest"].flatMap({ Digest($0) }), StreamHasher.digest(body, said.algorithm) != said {
            throw RegistryError.wrongDigest(reference, what: "the manifest", expected: said, actual: digest)
        }
        return (body, digest)
    }

    /// A small blob, wholly in memory.
    func document(_ descriptor: Descriptor, _ digest: Digest) throws -> [UInt8] {
        let limit = 16 << 20
        let (response, body) = try get("blobs/\(digest)", limit: limit)
        guard response.isSuccess else { throw refusal(response, what: "blob \(digest)") }
        let actual = StreamHasher.digest(body, digest.algorithm)
        guard actual == digest else { throw RegistryError.wrongDigest(reference, what: "blob \(digest)", expected: digest, actual: actual) }
        return body
    }

    /// Downloads a blob into an empty file, and goes on where a broken transfer stopped.
    ///
    /// - Parameter progress: gets the bytes that are there; throws to give up.
    func download(_ digest: Digest, size: Int, into file: OpenFile, progress: (Int) throws -> Void) throws {
        var received = 0
        var hasher = StreamHasher(digest.algorithm)
        let response = try http.retrying {
            var headers: [(String, String)] = []
            if received > 0 { headers.append(("Range", "bytes=\(received)-")) }
            var started = false
            return try authorized("blobs/\(digest)", headers) { response, chunk in
                if !started {
                    started = true
                    // A server that knows no ranges begins anew.
                    if received > 0, response.status != 206 {
                        (received, hasher) = (0, StreamHasher(digest.algorithm))
                        try file.seek(to: 0)
                    }
                }
                received += chunk.count
                guard received <= size else { throw RegistryError.wrongSize(reference, blob: digest, expected: size, actual: received) }
                hasher.update(chunk)
                try file.write(chunk)
                try progress(received)
            }
        } response: {
            $0
        }
        guard response.isSuccess else { throw refusal(response, what: "blob \(digest)") }
        guard received == size else { throw RegistryError.wrongSize(reference, blob: digest, expected: size, actual: received) }
        let actual = hasher.finish()
        guard actual == digest else { throw RegistryError.wrongDigest(reference, what: "a layer", expected: digest, actual: actual) }
    }

    // MARK: Requests

    private func get(_ path: String, accept: String? = nil, limit: Int) throws -> (response: HTTPResponse, body: [UInt8]) {
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
    private func authorized(_ path: String, _ headers: [(String, String)], _ body: (HTTPResponse, UnsafeRawBufferPointer) throws -> Void) throws -> HTTPResponse
    {
        let base = try connect()
        guard let address = WebAddress("\(base)/v2/\(reference.repository)/\(path)") else {
            throw RegistryError.invalid(reference, reason: "no web address can be made of it")
        }
        let token = session.update { $0.expires > monotonicSeconds() ? $0.authorization : nil }
        let response = try http.get(address, headers: headers, authorization: token, body: body)
        guard response.status == 401, let renewed = try authorize(response, base) else { return response }
        return try http.get(address, headers: headers, authorization: renewed, body: body)
    }

    /// Finds out how the registry is spoken to: HTTPS, or plain HTTP where that is allowed and HTTPS isn't spoken.
    private func connect() throws -> String {
        if let base = session.update({ $0.base }) { return base }
        let isLoopback = Self.isLoopback(reference.registry.hasPrefix("[") ? Substring(reference.registry) : reference.registry.split(separator: ":")[0])
        var failure: (any Error)?
        for scheme in options.allowHTTP || isLoopback ? ["https", "http"] : ["https"] {
            guard let address = WebAddress("\(scheme)://\(reference.registry)/v2/") else { continue }
            do {
                let (response, _) = try http.get(address, limit: 1 << 20)
                guard response.isSuccess || response.status == 401 || response.status == 403 else {
                    throw refusal(response, what: "/v2/")
                }
                let base = "\(scheme)://\(reference.registry)"
                session.update { $0.base = base }
                return base
            } catch { failure = failure ?? error }
        }
        // Where nobody listens both fail alike; where only HTTPS failed its reason is the one that helps.
        throw failure ?? RegistryError.invalid(reference, reason: "\(reference.registry) is no host")
    }

    // MARK: Tokens

    /// Gets what the registry's challenge asks for.
    /// - Returns: a new `Authorization` header; nil where there is none to be had.
    private func authorize(_ refusal: HTTPResponse, _ base: String) throws -> String? {
        let challenges = refusal.headers.all("www-authenticate").flatMap(Challenge.parse)
        var authorization: String?
        var life = Double.infinity
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }), let realm = bearer.parameters["realm"] {
            if case .registryToken(let token)? = options.credential {
                authorization = "Bearer \(token)"
            } else {
                let document = try token(realm, service: bearer.parameters["service"], scope: bearer.parameters["scope"])
                authorization = (document.token ?? document.access_token).map { "Bearer \($0)" }
                // A little early, so that a request under way doesn't see it expire.
                life = max(1, (document.expires_in ?? 60) * 0.9)
            }
        } else if challenges.contains(where: { $0.scheme == "basic" }), case .basic(let encoded)? = options.credential {
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
        if case .identityToken(let refresh)? = options.credential {
            let address = try tokenService(at: realm)
            answer = try http.post(address, form: "grant_type=refresh_token&client_id=d2a&\(query)&refresh_token=\(queryEncoded(refresh))", limit: 1 << 20)
        } else {
            let address = try tokenService(at: realm + (realm.contains("?") ? "&" : "?") + query)
            var authorization: String?
            if case .basic(let encoded)? = options.credential { authorization = "Basic \(encoded)" }
            answer = try http.get(address, authorization: authorization, limit: 1 << 20)
        }
        guard answer.response.isSuccess else { throw RegistryError.denied(reference, reason: reason(answer.response), hasCredential: options.credential != nil) }
        guard let document = try? CanonicalJSON.decode(TokenDocument.self, from: answer.body), document.token ?? document.access_token != nil else {
            throw RegistryError.invalid(reference, reason: "the token service at \(WebAddress(realm)?.host ?? "") gives no token")
        }
        return document
    }

    /// The token service, which is not given a credential in the clear.
    private func tokenService(at text: String) throws -> WebAddress {
        guard let address = WebAddress(text) else { throw RegistryError.invalid(reference, reason: "its token service is at no web address") }
        guard address.scheme == "https" || options.credential == nil || options.allowHTTP || Self.isLoopback(address.host) else {
            throw RegistryError.invalid(reference, reason: "its token service at \(address.host) would get your credential without encryption")
        }
        return address
    }

    private static func isLoopback(_ host: some StringProtocol) -> Bool {
        host == "localhost" || host.hasPrefix("127.") || host.hasPrefix("[::1]") || host == "::1"
    }

    /// A value that can't smuggle another header in.
    private static func isHeader(_ text: String) -> Bool { text.utf8.allSatisfy { (0x20...0x7E).contains($0) } }

    // MARK: Refusals

    private func manifestError(_ response: HTTPResponse, _ name: String) throws -> RegistryError {
        guard response.status == 404 else { return refusal(response, what: "the manifest of \(name)") }
        guard Digest(name) == nil else { return .digestNotFound(reference) }
        // Registries use the same code for both; the list of tags tells.
        let (list, body) = try get("tags/list", limit: 16 << 20)
        guard list.isSuccess, let tags = try? CanonicalJSON.decode(TagsDocument.self, from: body).tags else { return .repositoryNotFound(reference) }
        return .tagNotFound(reference, tags: tags)
    }

    private func refusal(_ response: HTTPResponse, what: String) -> RegistryError {
        if [401, 403].contains(response.status) { return .denied(reference, reason: reason(response), hasCredential: options.credential != nil) }
        return .refused(reference, what: what, status: response.status, reason: reason(response))
    }

    private func reason(_ response: HTTPResponse) -> String {
        guard let document = try? CanonicalJSON.decode(ErrorDocument.self, from: response.errorBody), let first = document.errors?.first else { return "" }
        return [first.code, first.message].compactMap(\.self).joined(separator: ": ")
    }
}
