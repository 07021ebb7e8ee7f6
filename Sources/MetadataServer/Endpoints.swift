import Digest
import Hashing
import Synchronization

/// What a client asks.
struct MetadataRequest {
    var method: String
    /// As it stands in the request, with a query if there is one.
    var target: String
    /// The content's type, without parameters.
    var contentType = ""
    var body: [UInt8] = []
}

/// What it is told (appc spec `ace.md#app-container-metadata-service`).
struct MetadataResponse: Equatable, Sendable {
    var status: Int
    var type: String
    var body: [UInt8]

    static func json(_ body: [UInt8]) -> Self { Self(status: 200, type: "application/json", body: body) }
    static func text(_ text: String, status: Int = 200) -> Self { Self(status: status, type: "text/plain; charset=us-ascii", body: Array(text.utf8)) }
}

/// Every pod that is registered, and what is answered to its apps. It is used by several threads.
final class MetadataEndpoints: Sendable {
    private struct Pods {
        /// By the digest of the token: how long a search takes says nothing about tokens.
        var byToken: [Digest: PodMetadata] = [:]
        var tokens: [String: Digest] = [:]
    }

    private let key: [UInt8]
    private let pods = Mutex(Pods())

    /// - Parameter key: what signatures are made with.
    init(key: [UInt8]) { self.key = key }

    private static func digest(_ token: some StringProtocol) -> Digest { StreamHasher.digest(token.utf8, .sha512) }

    func add(_ pod: PodMetadata) {
        let digest = Self.digest(pod.token)
        pods.withLock { pods in
            if let old = pods.tokens.updateValue(digest, forKey: pod.uuid) { pods.byToken[old] = nil }
            pods.byToken[digest] = pod
        }
    }

    func remove(_ uuid: String) { pods.withLock { pods in if let digest = pods.tokens.removeValue(forKey: uuid) { pods.byToken[digest] = nil } } }

    /// - Parameter listener: the pod on whose own listener the request came; nil for the host's.
    func answer(_ request: MetadataRequest, on listener: String?) -> MetadataResponse {
        let path = request.target.prefix { $0 != "?" }
        let parts = path.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].isEmpty else { return .text("no such pod", status: 401) }
        let digest = Self.digest(parts[1])
        // A token is good where the pod is, and nowhere else.
        guard let pod = pods.withLock({ $0.byToken[digest] }), pod.hasOwnListener ? listener == pod.uuid : listener == nil else {
            return .text("no such pod", status: 401)
        }
        let base = "acMetadata/v1/"
        guard parts[2].hasPrefix(base) else { return .text("no such path", status: 404) }
        let name = parts[2].dropFirst(base.count)
        if name == "pod/hmac/sign" || name == "pod/hmac/verify" {
            guard request.method == "POST" else { return .text("only POST", status: 405) }
            guard request.contentType.lowercased() == "application/x-www-form-urlencoded" else { return .text("not a form", status: 415) }
            guard let form = Form(request.body) else { return .text("a malformed form", status: 400) }
            return name == "pod/hmac/sign" ? sign(form, pod) : verify(form)
        }
        guard let answer = pod[name] else { return .text("no such path", status: 404) }
        return request.method == "GET" || request.method == "HEAD" ? answer : .text("only GET", status: 405)
    }

    private func sign(_ form: Form, _ pod: PodMetadata) -> MetadataResponse {
        guard let content = form["content"], let uuid = UUIDBytes(pod.uuid) else { return .text("no content", status: 400) }
        return .text(Base64.encode(HMACSHA512.sign(uuid.bytes + content, key: key)))
    }

    private func verify(_ form: Form) -> MetadataResponse {
        guard let content = form["content"], let name = form["uuid"], let text = form["signature"] else {
            return .text("content, uuid and signature are needed", status: 400)
        }
        guard let uuid = UUIDBytes(String(decoding: name, as: UTF8.self)) else { return .text("no such UUID", status: 400) }
        guard let signature = Base64.decode(text), HMACSHA512.verify(signature, of: uuid.bytes + content, key: key) else {
            return .text("the signature is wrong", status: 403)
        }
        return .text("")
    }
}
