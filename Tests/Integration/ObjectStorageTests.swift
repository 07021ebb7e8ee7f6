import Credentials
import Files
import Foundation
import ObjectStorage
import Testing
import Transport

/// An S3 server that checks signatures (`Tests/Fixtures/objects.py`), ended with this object.
final class ObjectServer {
    let endpoint: String
    let (keyID, secret): (String, String)
    private let server: FixtureServer

    init(_ place: Place) throws {
        server = try FixtureServer(place, "objects.py", python: #require(Lab.pythonPeers) + "/python")
        endpoint = "http://127.0.0.1:\(server.port)"
        try #require(server.words.count == 2)
        (keyID, secret) = (server.words[0], server.words[1])
    }

    var requests: [String] { server.requests }
    /// What people set to get in.
    var variables: [String: String] {
        ["AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": endpoint]
    }

    func access(secret: String? = nil, keyID: String? = nil) -> ObjectStoreAccess {
        ObjectStoreAccess(keyID: keyID ?? self.keyID, secret: secret ?? self.secret, region: "eu-west-1", endpoint: endpoint)
    }
}

@Suite(.enabled(if: Lab.pythonPeers != nil, "needs python3 with venv, and moto (make setup)"))
struct ObjectStorageTests {
    private func write(_ bytes: Data, _ place: Place) throws -> OpenFile {
        try bytes.write(to: URL(fileURLWithPath: place.path + "/data"))
        return try OpenFile.open(place.path + "/data")
    }

    @Test func objectsGoAndComeBack() throws {
        let place = try Place()
        let server = try ObjectServer(place)
        let bucket = try Bucket("s3://images/a/b", access: server.access())
        let file = try write(Data("hello".utf8), place)
        // Names that must be encoded, each in its own way, for the request and for its signature.
        let names = ["plain", "with space", "ü+%26&=?#~", "dir/below", "a:b@c,d;e'(f)!*"]
        for name in names {
            #expect(try bucket.head(name) == nil)
            #expect(try bucket.put(file, as: name, type: "text/plain"))
            #expect(try bucket.get(name, limit: 100) == Array("hello".utf8), "\(name)")
            let before = server.requests.filter { $0.contains("PUT") }.count
            #expect(try bucket.put(file, as: name, type: "text/plain") == false)
            #expect(server.requests.filter { $0.contains("PUT") }.count == before)
        }
        #expect(try bucket.list().map(\.key) == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(try bucket.list("dir/").map(\.key) == ["dir/below"])
        let other = try write(Data("other".utf8), place)
        #expect(try bucket.put(other, as: "plain", type: "text/plain"))
        #expect(try bucket.get("plain", limit: 100) == Array("other".utf8))
        #expect(throws: TransportError.self) { try bucket.get("plain", limit: 4) }
        try bucket.remove("plain")
        try bucket.remove("plain")
        #expect(try bucket.get("plain", limit: 100) == nil)
        #expect(try bucket.put(write(Data(), place), as: "empty", type: "text/plain"))
        #expect(try bucket.get("empty", limit: 100) == [])
    }

    @Test func aBucketThatIsAHost() throws {
        let place = try Place()
        let server = try ObjectServer(place)
        var access = server.access()
        (access.endpoint, access.usesPaths) = (server.endpoint.replacingOccurrences(of: "127.0.0.1", with: "localhost"), false)
        let bucket = try Bucket("s3://images/v", access: access)
        #expect(try bucket.put(write(Data("hello".utf8), place), as: "x y", type: "text/plain"))
        #expect(try bucket.get("x y", limit: 100) == Array("hello".utf8))
        #expect(try bucket.list().map(\.key) == ["x y"])
        #expect(server.requests.contains { $0.contains("PUT /v/x%20y ") })
    }

    /// The store gives ten names at a time.
    @Test func aListOfSeveralPages() throws {
        let place = try Place()
        let server = try ObjectServer(place)
        let bucket = try Bucket("s3://images", access: server.access())
        let file = try write(Data("x".utf8), place)
        let names = (0..<23).map { "many/\(10 + $0)" }
        for name in names { try bucket.put(file, as: name, type: "text/plain") }
        #expect(try bucket.list().map(\.key) == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(server.requests.filter { $0.contains("continuation-token") }.count == 2)
    }

    @Test func aLargeFileInParts() throws {
        let place = try Place()
        let server = try ObjectServer(place)
        let bucket = try Bucket("s3://images/p", access: server.access(), partSize: 5 << 20)
        var bytes = Data(count: 20 << 20)
        for index in stride(from: 0, to: bytes.count, by: 4099) { bytes[index] = UInt8(truncatingIfNeeded: index / 4099) }
        let file = try write(bytes, place)
        #expect(try bucket.put(file, as: "large", type: "application/octet-stream"))
        #expect(server.requests.filter { $0.contains("partNumber=") }.count == 4)
        #expect(try bucket.get("large", limit: 21 << 20) == Array(bytes))
        // Back again, a part at a time.
        let copy = try Directory.open(place.path).file("copy", O_RDWR | O_CREAT)
        #expect(try bucket.fetch("large", into: copy) && Data(contentsOf: URL(fileURLWithPath: place.path + "/copy")) == bytes)
        #expect(server.requests.filter { $0.contains("GET /images/p/large") }.count == 3)
        #expect(try bucket.fetch("none", into: copy) == false)
        #expect(try bucket.put(file, as: "large", type: "application/octet-stream") == false)
    }

    @Test func wrongKeysAreRefusedAndNotShown() throws {
        let place = try Place()
        let server = try ObjectServer(place)
        let file = try write(Data("hello".utf8), place)
        func message(_ url: String, _ access: ObjectStoreAccess) -> String {
            do {
                try Bucket(url, access: access).put(file, as: "x", type: "text/plain")
                return "done"
            } catch { return "\(error)" }
        }
        let wrong = message("s3://images", server.access(secret: "wrong+secret"))
        #expect(wrong.contains("403"), "\(wrong)")
        #expect(!wrong.contains("wrong+secret") && !wrong.contains(server.secret))
        #expect(message("s3://images", server.access(keyID: "AKIAUNKNOWN")).contains("403"))
        #expect(message("s3://images", server.access()) == "done")
        #expect(message("s3://elsewhere", server.access()).contains("40"))
        #expect("\(server.access())" == "an object store's keys")
        #expect(!String(reflecting: server.access()).contains(server.secret))
        #expect(throws: ObjectStorageError.badURL("s3://")) { try Bucket("s3://", access: server.access()) }
        #expect(throws: ObjectStorageError.badURL("s3://UPPER/x")) { try Bucket("s3://UPPER/x", access: server.access()) }
    }
}
