import CCurl
import Files
import Glibc
import Threads

/// How requests are made.
public struct TransportOptions: Sendable {
    /// Takes any certificate.
    public var insecureSkipVerify = false
    /// More authorities than the system's, as PEM.
    public var roots: String?
    /// What is shown to one origin that asks who we are, as PEM.
    public var identity: (origin: WebAddress, certificate: String, key: String)?
    /// Follows a redirect from https to http.
    public var allowHTTP = false
    /// Seconds for a connection to be made.
    public var connectTimeout = 20
    /// Seconds without a byte after which a transfer has broken off.
    public var stallTimeout = 60
    /// Connections go to this socket, whatever the address says.
    public var unixSocket: String?
    /// How often a request that failed in passing (429, 5xx, a broken connection) is made again.
    public var retries = 4
    /// Seconds before the first repetition; doubled for each further one, up to a minute.
    public var backoff = 0.5
    public var limits = RequestLimits()

    public init() {}
}

public struct HTTPHeaders: Sendable {
    private var fields: [(name: String, value: String)] = []

    mutating func add(_ name: String, _ value: String) { fields.append((name.lowercased(), value)) }

    /// All values of a header, whose name is given in lower case.
    public func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }
    public subscript(name: String) -> String? { all(name).first }
}

public struct HTTPResponse: Sendable {
    public var status: Int
    public var headers: HTTPHeaders
    /// Of an answer that is no success: its body. Otherwise empty.
    public var errorBody: [UInt8]
    public var isSuccess: Bool { (200..<300).contains(status) }
}

/// Requests over libcurl. Connections are kept and used again, and used by several requests at once where the server speaks HTTP/2; may be
/// used from several threads at once.
public final class HTTPClient: Sendable {
    private let options: TransportOptions
    private let gate: RequestGate
    private let loop: TransferLoop

    private static let libraryReady: Void = { if curl_global_init(Int(CURL_GLOBAL_DEFAULT)) != CURLE_OK { fatalError("libcurl can't start") } }()

    public init(_ options: TransportOptions) {
        self.options = options
        gate = RequestGate(options.limits)
        _ = Self.libraryReady
        loop = TransferLoop()
    }

    /// Asks once. Redirects are followed, without credentials as soon as they leave the first origin.
    ///
    /// - Parameters:
    ///   - method: `GET` or `HEAD`.
    ///   - secrets: headers that are for the first origin alone: `Authorization`, `Cookie`.
    ///   - body: gets the bytes of a successful answer as they come.
    /// - Throws: ``TransportError``, and whatever `body` throws.
    public func get(
        _ address: WebAddress, method: HTTPRequest.Method = .get, headers: [(String, String)] = [], secrets: [(String, String)] = [],
        body: (HTTPResponse, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPResponse {
        var current = address
        for _ in 0...10 {
            let response = try exchange(HTTPRequest(method, current, headers: current.hasOrigin(of: address) ? headers + secrets : headers), body)
            guard [301, 302, 303, 307, 308].contains(response.status), let location = response.headers["location"] else { return response }
            guard let next = current.following(location) else {
                throw TransportError.badRedirect(current, reason: "it redirects to something that is no web address")
            }
            if current.scheme == "https", next.scheme == "http", !options.allowHTTP {
                throw TransportError.badRedirect(current, reason: "it redirects from HTTPS to plain HTTP (\(next.host))")
            }
            current = next
        }
        throw TransportError.badRedirect(address, reason: "it redirects without end")
    }

    /// Asks, again where the failure may pass, for a body of at most `limit` bytes.
    public func get(_ address: WebAddress, headers: [(String, String)] = [], secrets: [(String, String)] = [], limit: Int) throws -> (
        response: HTTPResponse, body: [UInt8]
    ) {
        try retrying {
            var bytes: [UInt8] = []
            let response = try get(address, headers: headers, secrets: secrets) { _, chunk in
                guard bytes.count + chunk.count <= limit else { throw TransportError.tooLong(address, limit: limit) }
                bytes.append(contentsOf: chunk)
            }
            return (response, bytes)
        } response: {
            $0.response
        }
    }

    /// Posts a form, whose values are encoded already, and reads an answer of at most `limit` bytes. Redirects are not followed:
    /// what is in the form is for this address only.
    public func post(_ address: WebAddress, form: String, limit: Int) throws -> (response: HTTPResponse, body: [UInt8]) {
        try send(
            HTTPRequest(.post, address, headers: [("Content-Type", "application/x-www-form-urlencoded")], body: .bytes(Array(form.utf8))), limit: limit)
    }

    /// Makes a request, again where the failure may pass, and reads an answer of at most `limit` bytes. Redirects are not followed.
    public func send(_ request: HTTPRequest, limit: Int) throws -> (response: HTTPResponse, body: [UInt8]) {
        try retrying {
            var bytes: [UInt8] = []
            let response = try exchange(request) { _, chunk in
                guard bytes.count + chunk.count <= limit else { throw TransportError.tooLong(request.address, limit: limit) }
                bytes.append(contentsOf: chunk)
            }
            return (response, bytes)
        } response: {
            $0.response
        }
    }

    /// Makes a request once. Redirects are not followed.
    /// - Parameters:
    ///   - began: called when an answer begins: its body may be long in coming.
    ///   - body: gets the bytes of a successful answer as they come.
    public func send(
        _ request: HTTPRequest, began: ((HTTPResponse) -> Void)? = nil, body: (HTTPResponse, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPResponse {
        try exchange(request, began: began, body)
    }

    /// Runs `attempt` until it brings an answer that is not one of passing failure, waiting longer each time, or as long as the
    /// server asks for (RFC 9110, Retry-After).
    public func retrying<T>(_ attempt: () throws -> T, response: (T) -> HTTPResponse) throws -> T {
        var number = 0
        while true {
            var wait = min(options.backoff * Double(1 << min(number, 10)), 60)
            do {
                let result = try attempt()
                let answer = response(result)
                guard answer.status == 429 || (500..<600).contains(answer.status), number < options.retries else { return result }
                if let seconds = answer.headers["retry-after"].flatMap(Int.init) {
                    wait = Double(min(max(0, seconds), 60))
                    gate.pause(wait)
                }
            } catch let error as TransportError where error.isPassing && number < options.retries {}
            number += 1
            usleep(UInt32(wait * 1e6))
        }
    }

    // MARK: One exchange

    private func exchange(
        _ request: HTTPRequest, began: ((HTTPResponse) -> Void)? = nil, _ body: (HTTPResponse, UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPResponse {
        let (address, transfer) = (request.address, Transfer(tellsBeginning: began != nil))
        let curl = transfer.curl
        gate.enter()
        defer { gate.leave() }
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        for (name, value) in request.headers { list = curl_slist_append(list, "\(name): \(value)") }
        _ = curl_shim_set_text(curl, CURLOPT_URL, address.text)
        _ = curl_shim_set_text(curl, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = curl_shim_set_list(curl, CURLOPT_HTTPHEADER, list)
        _ = curl_shim_set_text(curl, CURLOPT_USERAGENT, "d2a/0.1")
        if let path = options.unixSocket { _ = curl_shim_set_text(curl, CURLOPT_UNIX_SOCKET_PATH, path) }
        if let signature = request.signature {
            _ = curl_shim_set_text(curl, CURLOPT_AWS_SIGV4, signature.scope)
            _ = curl_shim_set_text(curl, CURLOPT_USERNAME, signature.keyID)
            _ = curl_shim_set_text(curl, CURLOPT_PASSWORD, signature.secret)
        }
        var upload: FileBody?
        // To post bytes, or to put a file, is what a request with such a body does.
        switch request.method {
        case .get, .post, .put: break
        case .head: _ = curl_shim_set_long(curl, CURLOPT_NOBODY, 1)
        case .delete: _ = curl_shim_set_text(curl, CURLOPT_CUSTOMREQUEST, "DELETE")
        }
        switch request.body {
        case .none: break
        case .bytes(let bytes):
            _ = curl_shim_set_size(curl, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
            // They are copied: so many of them, not up to the zero, which is here so that there always is one.
            _ = (bytes + [0]).withUnsafeBytes { curl_shim_set_text(curl, CURLOPT_COPYPOSTFIELDS, $0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
        case .file(let file, let offset, let length):
            upload = FileBody(file, offset: offset, length: length)
            upload?.attach(to: curl)
            if case .post = request.method { _ = curl_shim_set_text(curl, CURLOPT_CUSTOMREQUEST, "POST") }
        }
        defer { withExtendedLifetime(upload) {} }
        _ = curl_shim_set_long(curl, CURLOPT_NOSIGNAL, 1)
        _ = curl_shim_set_long(curl, CURLOPT_CONNECTTIMEOUT, options.connectTimeout)
        _ = curl_shim_set_long(curl, CURLOPT_LOW_SPEED_LIMIT, 1)
        _ = curl_shim_set_long(curl, CURLOPT_LOW_SPEED_TIME, options.stallTimeout)
        _ = curl_shim_set_long(curl, CURLOPT_BUFFERSIZE, 256 << 10)
        configureProxy(curl, address)
        // As programs in Go do it.
        if let file = environmentVariable("SSL_CERT_FILE") { _ = curl_shim_set_text(curl, CURLOPT_CAINFO, file) }
        // The system's directory of roots stays in use beside these.
        if let roots = options.roots { _ = curl_shim_set_blob(curl, CURLOPT_CAINFO_BLOB, roots, roots.utf8.count) }
        if let identity = options.identity, address.hasOrigin(of: identity.origin) {
            _ = curl_shim_set_blob(curl, CURLOPT_SSLCERT_BLOB, identity.certificate, identity.certificate.utf8.count)
            _ = curl_shim_set_blob(curl, CURLOPT_SSLKEY_BLOB, identity.key, identity.key.utf8.count)
        }
        if options.insecureSkipVerify {
            _ = curl_shim_set_long(curl, CURLOPT_SSL_VERIFYPEER, 0)
            _ = curl_shim_set_long(curl, CURLOPT_SSL_VERIFYHOST, 0)
        }
        // Rather one connection that takes a moment to be made than one each.
        if address.scheme == "https" { _ = curl_shim_set_long(curl, CURLOPT_PIPEWAIT, 1) }

        loop.start(transfer)
        var failure: (any Error)?
        var bytes: [UInt8] = []
        while true {
            let result = transfer.read(into: &bytes, loop)
            guard let result else {
                if bytes.isEmpty {
                    began?(transfer.answer)
                    continue
                }
                // What comes while a transfer ends is nobody's.
                guard failure == nil else { continue }
                options.limits.bandwidth?.admit(bytes.count)
                do { try bytes.withUnsafeBytes { try body(transfer.answer, $0) } } catch {
                    failure = error
                    loop.abandon(transfer)
                }
                continue
            }
            if let failure = failure ?? upload?.failure { throw failure }
            guard result == CURLE_OK else { throw Self.error(result, transfer.reason(result, host: address.host), address) }
            return transfer.answer
        }
    }

    /// The environment's proxies, as programs in Go read it: also `HTTP_PROXY`, and never for this machine itself.
    private func configureProxy(_ curl: UnsafeMutableRawPointer, _ address: WebAddress) {
        if address.isLoopback {
            _ = curl_shim_set_text(curl, CURLOPT_NOPROXY, "*")
        } else if address.scheme == "http", environmentVariable("http_proxy") == nil, let proxy = environmentVariable("HTTP_PROXY") {
            _ = curl_shim_set_text(curl, CURLOPT_PROXY, proxy)
        }
    }

    private static func error(_ code: CURLcode, _ reason: String, _ address: WebAddress) -> TransportError {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT: return .unreachable(address, reason: reason)
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CERTPROBLEM:
            return .insecure(address, reason: reason)
        default: return .interrupted(address, reason: reason)
        }
    }
}
