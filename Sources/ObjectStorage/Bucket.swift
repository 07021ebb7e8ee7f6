import Credentials
import Digest
import Files
import Hashing
import Transport

/// What an object store says of an object.
public struct StoredObject: Sendable, Hashable {
    public var key: String
    /// Bytes.
    public var size: Int
    /// Of what was put by ``Bucket/put(_:as:type:)``: the digest of its bytes.
    public var digest: Digest?

    public init(key: String, size: Int, digest: Digest? = nil) { (self.key, self.size, self.digest) = (key, size, digest) }
}

/// A bucket of an object store that speaks S3 (Amazon S3 API reference, 2006-03-01), or the part of it below a prefix.
///
/// Objects appear whole or not at all, whoever else writes. Every body's digest is part of the signature, so that the store refuses
/// what was damaged on the way.
public final class Bucket: Sendable {
    public let name: String
    /// What every key begins with: empty, or ending with a slash.
    public let prefix: String
    private let access: ObjectStoreAccess
    /// The URL of the bucket, without a slash at its end.
    private let root: String
    private let client: HTTPClient
    /// A larger file is sent in parts of this size, or of a larger one where it would be more than 10,000.
    private let partSize: Int

    /// - Parameters:
    ///   - url: `s3://BUCKET[/PREFIX]`
    ///   - partSize: bytes; stores want 5 MiB at least.
    /// - Throws: ``ObjectStorageError``
    public init(_ url: String, access: ObjectStoreAccess, transport: TransportOptions = TransportOptions(), partSize: Int = 256 << 20) throws {
        let (name, prefix) = try Self.parts(of: url)
        (self.name, self.prefix, self.access, self.partSize) = (name, prefix, access, partSize)
        let endpoint = access.endpoint ?? "https://s3.\(access.region).amazonaws.com"
        guard let base = WebAddress(endpoint) else { throw ObjectStorageError.badEndpoint(endpoint) }
        // A certificate for *.s3… is good for one label: a name with dots needs a path.
        let usesPath = access.usesPaths || name.contains(".")
        root = usesPath ? "\(base.scheme)://\(base.host):\(base.port)/\(name)" : "\(base.scheme)://\(name).\(base.host):\(base.port)"
        client = HTTPClient(transport)
    }

    /// Reads `s3://BUCKET[/PREFIX]`; the prefix ends with a slash where there is one.
    public static func parts(of url: String) throws(ObjectStorageError) -> (name: String, prefix: String) {
        guard url.hasPrefix("s3://") else { throw .badURL(url) }
        let words = url.dropFirst(5).split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard let name = words.first, (3...63).contains(name.utf8.count),
            name.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x2E })
        else { throw .badURL(url) }
        return (name, words.dropFirst().map { $0 + "/" }.joined())
    }

    /// The URL of an object, for messages.
    public func url(of key: String) -> String { "s3://\(name)/\(prefix)\(key)" }

    // MARK: Objects

    /// Puts a file's bytes, unless they are there already.
    /// - Parameters:
    ///   - key: below the prefix.
    ///   - type: what web servers say of it, `Content-Type`.
    /// - Returns: whether anything was sent.
    @discardableResult
    public func put(_ file: OpenFile, as key: String, type: String) throws -> Bool {
        let size = try file.size()
        let digest = try Self.digest(of: file, offset: 0, length: size)
        if let there = try head(key), there.size == size, there.digest == digest { return false }
        let headers = [("Content-Type", type), (Self.digestHeader, digest.description)]
        if size > partSize {
            try putInParts(file, size, key, headers)
        } else {
            _ = try ask(.put, key, headers: headers, body: .file(file, offset: 0, length: size), digest: digest)
        }
        return true
    }

    /// - Returns: nil where there is no such object.
    public func head(_ key: String) throws -> StoredObject? {
        guard let answer = try ask(.head, key, missing: true) else { return nil }
        return StoredObject(
            key: key, size: answer.response.headers["content-length"].flatMap(Int.init) ?? 0,
            digest: answer.response.headers[Self.digestHeader].flatMap(Digest.init))
    }

    /// The bytes of a small object.
    /// - Returns: nil where there is no such object.
    public func get(_ key: String, limit: Int) throws -> [UInt8]? { try ask(.get, key, missing: true, limit: limit)?.body }

    /// Writes the bytes of an object of any size to an empty file, a part at a time, and checks them where ``put(_:as:type:)`` has left their digest.
    /// - Returns: whether there is such an object.
    public func fetch(_ key: String, into file: OpenFile) throws -> Bool {
        guard let object = try head(key) else { return false }
        var offset = 0
        while offset < object.size {
            let count = min(16 << 20, object.size - offset)
            let part = try ask(.get, key, headers: [("Range", "bytes=\(offset)-\(offset + count - 1)")], limit: count)!.body
            guard part.count == count else { throw ObjectStorageError.badAnswer(url: url(of: key), what: "a part of the object") }
            try part.withUnsafeBytes { try file.write($0) }
            offset += count
        }
        if let digest = object.digest, try Self.digest(of: file, offset: 0, length: object.size) != digest {
            throw ObjectStorageError.badAnswer(url: url(of: key), what: "the bytes aren't those that were sent")
        }
        return true
    }

    /// Removes an object; that there is none is no error.
    public func remove(_ key: String) throws { _ = try ask(.delete, key, missing: true) }

    /// All objects whose keys, below the bucket's prefix, begin so, in the order of their keys' bytes.
    public func list(_ beginning: String = "") throws -> [StoredObject] {
        var result: [StoredObject] = []
        var next: String?
        repeat {
            var query = [("encoding-type", "url"), ("list-type", "2"), ("prefix", prefix + beginning)]
            if let next { query.append(("continuation-token", next)) }
            let answer = try document(ask(.get, nil, query: query)!, "its list of objects")
            for entry in answer.children where entry.name == "Contents" {
                guard let key = entry["Key"].flatMap({ percentDecoded($0) }), key.hasPrefix(prefix), let size = entry["Size"].flatMap({ Int($0) }) else {
                    throw ObjectStorageError.badAnswer(url: url(of: ""), what: "its list of objects")
                }
                result.append(StoredObject(key: String(key.dropFirst(prefix.count)), size: size))
            }
            let token = answer["IsTruncated"] == "true" ? answer["NextContinuationToken"] : nil
            // A store that sends us in a circle would do so for ever.
            guard token == nil || token != next else { throw ObjectStorageError.badAnswer(url: url(of: ""), what: "its list of objects") }
            next = token
        } while next != nil
        return result
    }

    // MARK: Large files

    private func putInParts(_ file: OpenFile, _ size: Int, _ key: String, _ headers: [(String, String)]) throws {
        let begun = try document(ask(.post, key, query: [("uploads", "")], headers: headers, body: .bytes([]))!, "the beginning of an upload")
        guard let upload = begun["UploadId"] else { throw ObjectStorageError.badAnswer(url: url(of: key), what: "the beginning of an upload") }
        do {
            let length = max(partSize, (size + 9_999) / 10_000)
            var parts = ""
            for (number, offset) in zip(1..., stride(from: 0, to: size, by: length)) {
                let count = min(length, size - offset)
                let answer = try ask(
                    .put, key, query: [("partNumber", String(number)), ("uploadId", upload)], body: .file(file, offset: offset, length: count),
                    digest: Self.digest(of: file, offset: offset, length: count))!
                guard let tag = answer.response.headers["etag"] else { throw ObjectStorageError.badAnswer(url: url(of: key), what: "a part of an upload") }
                parts += "<Part><PartNumber>\(number)</PartNumber><ETag>\(escaped(tag))</ETag></Part>"
            }
            let body = Array("<CompleteMultipartUpload>\(parts)</CompleteMultipartUpload>".utf8)
            // The answer begins before the store knows how it will end: its status may be 200 and its body an error.
            let answer = try ask(
                .post, key, query: [("uploadId", upload)], headers: [("Content-Type", "application/xml")], body: .bytes(body),
                digest: StreamHasher.digest(body))!
            let end = try document(answer, "the end of an upload")
            guard end.name != "Error" else { throw refusal(.post, key, answer.response, answer.body) }
        } catch {
            // Parts that nobody wants any more are paid for until they go.
            _ = try? ask(.delete, key, query: [("uploadId", upload)], missing: true)
            throw error
        }
    }

    private static func digest(of file: OpenFile, offset: Int, length: Int) throws -> Digest {
        let hasher = StreamHasher(.sha256)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var position = 0
        while position < length {
            let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, length - position)]), at: offset + position)
            guard count > 0 else { throw FileError("read all of", file.path) }
            hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            position += count
        }
        return hasher.finish()
    }

    // MARK: Requests

    private static let digestHeader = "x-amz-meta-digest"
    private static let nothing = StreamHasher.digest([])

    /// - Parameters:
    ///   - key: nil for the bucket itself.
    ///   - missing: whether it is no error that there is none.
    ///   - limit: of the answer's body, in bytes.
    /// - Returns: nil only where `missing`.
    private func ask(
        _ method: HTTPRequest.Method, _ key: String?, query: [(String, String)] = [], headers: [(String, String)] = [], body: HTTPRequest.Body = .none,
        digest: Digest = nothing, missing: Bool = false, limit: Int = 16 << 20
    ) throws -> (response: HTTPResponse, body: [UInt8])? {
        let text =
            root + "/"
            + (key.map { (prefix + $0).split(separator: "/", omittingEmptySubsequences: false).map { queryEncoded(String($0)) }.joined(separator: "/") } ?? "")
        // In the order of the names, and with "=" after each, as the signature has them.
        let pairs = query.sorted { $0.0 < $1.0 }.map { "\($0.0)=\(queryEncoded($0.1))" }
        guard let address = WebAddress(pairs.isEmpty ? text : text + "?" + pairs.joined(separator: "&")) else { throw ObjectStorageError.badEndpoint(text) }
        var all = headers + [("x-amz-content-sha256", digest.hex)]
        if let token = access.sessionToken { all.append(("x-amz-security-token", token)) }
        var request = HTTPRequest(method, address, headers: all, body: body)
        request.signature = RequestSignature(keyID: access.keyID, secret: access.secret, region: access.region, service: "s3")
        let answer = try client.send(request, limit: limit)
        if missing, answer.response.status == 404, method != .get || !isNoBucket(answer.response) { return nil }
        guard answer.response.isSuccess else { throw refusal(method, key, answer.response, answer.response.errorBody) }
        return answer
    }

    private func isNoBucket(_ response: HTTPResponse) -> Bool { XMLElement(parsing: response.errorBody)?["Code"] == "NoSuchBucket" }

    private func refusal(_ method: HTTPRequest.Method, _ key: String?, _ response: HTTPResponse, _ body: [UInt8]) -> ObjectStorageError {
        let error = XMLElement(parsing: body)
        return .refused(
            url: url(of: key ?? ""), isWriting: [.put, .post, .delete].contains(method), status: response.status, code: error?["Code"] ?? "",
            reason: error?["Message"] ?? "", region: response.headers["x-amz-bucket-region"])
    }

    private func document(_ answer: (response: HTTPResponse, body: [UInt8]), _ what: String) throws -> XMLElement {
        guard let document = XMLElement(parsing: answer.body) else { throw ObjectStorageError.badAnswer(url: url(of: ""), what: what) }
        return document
    }
}

private func escaped(_ text: String) -> String {
    text.map { ["&": "&amp;", "<": "&lt;", ">": "&gt;"][$0] ?? String($0) }.joined()
}

/// - Returns: nil for what isn't percent-encoded UTF-8.
private func percentDecoded(_ text: String) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            // As forms have it.
            bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            continue
        }
        guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
}
