import Credentials
import Digest
import Files
import Hashing
import Reference
import Threads
import Transport

/// A host that is asked for an image: how it is spoken to, whichever protocol it is. Safe to use from several threads.
final class RegistryServer: Sendable {
    /// By the name that it has there.
    let reference: ImageReference
    let options: RegistryOptions
    let credential: Credential?
    let isMirror: Bool
    private let connection: RegistryConnection
    private let allowHTTP: Bool

    var http: HTTPClient { connection.http }

    init(_ place: RegistryAccess.Place, _ options: RegistryOptions) throws {
        reference = try place.reference()
        self.options = options
        credential = place.credential
        isMirror = place.isMirror
        var transport = options.transport
        transport.insecureSkipVerify = transport.insecureSkipVerify || place.insecure
        transport.allowHTTP = transport.allowHTTP || place.insecure
        allowHTTP = transport.allowHTTP
        if let tls = place.tls {
            transport.roots = tls.roots.isEmpty ? nil : tls.roots
            if let certificate = tls.certificate, let key = tls.key, let origin = WebAddress("https://\(reference.registry)/") {
                transport.identity = (origin, certificate, key)
            }
        }
        if let connections = options.connections { transport.limits = connections.limits }
        let final = transport
        let key = RegistryConnections.Key(
            registry: reference.registry, allowHTTP: allowHTTP, insecure: transport.insecureSkipVerify, roots: transport.roots,
            certificate: transport.identity?.certificate)
        connection = options.connections?.connection(key) { RegistryConnection(final) } ?? RegistryConnection(final)
    }

    /// Whether plain HTTP is fine: where it was allowed, and on this machine.
    func mayBePlain(_ address: WebAddress) -> Bool { allowHTTP || address.isLoopback }

    /// Finds out whether HTTPS is spoken, or plain HTTP where that is allowed.
    /// - Parameters:
    ///   - path: what is asked for: `/v2/`.
    ///   - judge: throws where an answer is none of the protocol's.
    /// - Returns: `https://host:port`
    func base(asking path: String, _ judge: (HTTPResponse) throws -> Void) throws -> String {
        if let base = connection.base.update({ $0 }) { return base }
        let registry = reference.registry
        var failure: (any Error)?
        for scheme in ["https", "http"] {
            guard let address = WebAddress("\(scheme)://\(registry)\(path)"), scheme == "https" || mayBePlain(address) else { continue }
            do {
                try judge(http.get(address, limit: 1 << 20).response)
                let base = "\(scheme)://\(registry)"
                connection.base.update { $0 = base }
                return base
            } catch let error as TransportError {
                // Where nobody listens both fail alike; where only HTTPS failed its reason is the one that helps.
                failure = failure ?? error
            } catch let error as RegistryError {
                // What speaks TLS answers plain HTTP so: then it is the certificate that isn't right.
                if case .refused(_, _, status: 400, _) = error, let failure { throw failure }
                throw error
            }
        }
        throw failure ?? RegistryError.invalid(reference, reason: "\(registry) is no host")
    }

    /// Downloads into an empty file, and goes on where a broken transfer stopped.
    ///
    /// - Parameters:
    ///   - what: as messages call it.
    ///   - size: bytes that there must be; nil where that isn't known.
    ///   - expected: digest of all bytes after `prefix`; nil where that isn't known.
    ///   - progress: gets the bytes that are there; throws to give up.
    ///   - request: asks, with more headers, and passes the body on.
    func download(
        _ what: String, size: Int?, expected: Digest?, prefix: [UInt8] = [], into file: OpenFile,
        progress: @escaping (Int) throws -> Void,
        request: ([(String, String)], (HTTPResponse, UnsafeRawBufferPointer) throws -> Void) throws -> HTTPResponse
    ) throws {
        func newHasher() -> StreamHasher {
            let hasher = StreamHasher(expected?.algorithm ?? .sha256)
            prefix.withUnsafeBytes { hasher.update($0) }
            return hasher
        }
        var received = 0
        var hasher = newHasher()
        let response = try http.retrying {
            var started = false
            return try request(received > 0 ? [("Range", "bytes=\(received)-")] : []) { response, chunk in
                if !started {
                    started = true
                    // A server that knows no ranges, or gives another one, begins anew.
                    if received > 0, response.status != 206 || response.headers["content-range"]?.hasPrefix("bytes \(received)-") != true {
                        guard response.status != 206 else {
                            throw RegistryError.invalid(reference, reason: "the registry sends another part of \(what) than asked for")
                        }
                        (received, hasher) = (0, newHasher())
                        try file.seek(to: 0)
                    }
                }
                received += chunk.count
                if let size, received > size { throw RegistryError.wrongSize(reference, what: what, expected: size, actual: received) }
                hasher.update(chunk)
                try file.write(chunk)
                try progress(received)
            }
        } response: {
            $0
        }
        guard response.isSuccess else { throw refusal(response, what: what) }
        if let size, received != size { throw RegistryError.wrongSize(reference, what: what, expected: size, actual: received) }
        if let expected, case let actual = hasher.finish(), actual != expected {
            throw RegistryError.wrongDigest(reference, what: what, expected: expected, actual: actual)
        }
    }

    // MARK: Refusals

    func refusal(_ response: HTTPResponse, what: String) -> RegistryError {
        if [401, 403].contains(response.status) { return .denied(reference, reason: reason(response), hasCredential: credential != nil) }
        return .refused(reference, what: what, status: response.status, reason: reason(response))
    }

    /// What a registry says of an error.
    func reason(_ response: HTTPResponse) -> String { ErrorDocument.reason(response.errorBody) }
}
