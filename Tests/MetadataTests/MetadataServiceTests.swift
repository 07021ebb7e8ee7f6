import AppC
import Files
import Foundation
import Testing

@testable import Metadata

/// What curl saw of an answer.
private struct Answer: Equatable {
    var status: Int
    var type: String
    var body: String
}

/// The service itself, asked by curl.
@Suite(.enabled(if: geteuid() == 0 && access("/usr/bin/curl", X_OK) == 0, "needs root and curl (make setup)"))
final class MetadataServiceTests {
    private let name = "d2a-test-" + UUID().uuidString
    private var path: String { NSTemporaryDirectory() + "/" + name }
    private let service: MetadataService
    /// Holds the pods' locks: they live as long as this does.
    private var pods: [Directory] = []

    init() throws { service = try MetadataService(directory: NSTemporaryDirectory() + "/" + name + "/run") }

    deinit {
        pods = []
        // The service goes with its last pod.
        for _ in 0..<200 where !processes().isEmpty { usleep(100_000) }
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Services that have the test's socket open.
    private func processes() -> [Int32] {
        var sockets: [String] = []
        // Where sockets come and go the kernel's list may leave some out; and others' may have names that are no text.
        for _ in 0..<20 where sockets.isEmpty {
            let list = String(decoding: (try? Data(contentsOf: URL(fileURLWithPath: "/proc/net/unix"))) ?? Data(), as: UTF8.self)
            sockets = list.split(separator: "\n").filter { $0.hasSuffix("/\(name)/run/metadata-svc.sock") }
                .compactMap { $0.split(separator: " ").dropLast().last }.map { "socket:[\($0)]" }
        }
        return ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }.filter { pid in
            (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "d2a-metadata\n"
                && sockets.contains((try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/3")) ?? "")
        }
    }

    private func image(_ name: String, annotations: [NamedValue]? = nil) throws -> [UInt8] {
        var manifest = ImageManifest(name: "example.com/\(name)")
        manifest.annotations = annotations
        return try CanonicalJSON.encode(manifest, pretty: true)
    }

    private let id = "sha512-" + String(repeating: "ab", count: 64)

    /// A pod of two apps.
    private func register(_ uuid: String, network: String? = nil) throws -> String {
        var manifest = PodManifest()
        manifest.annotations = [NamedValue(name: "ip-address", value: "10.1.2.3")]
        var main = PodManifestApp(name: "main", image: .init(id: id, name: "example.com/main"))
        main.annotations = [NamedValue(name: "b", value: "the pod's"), NamedValue(name: "c", value: "new")]
        manifest.apps = [main, PodManifestApp(name: "sidekick", image: .init(id: id))]
        let images = [
            ("main", try image("main", annotations: [NamedValue(name: "a", value: "1"), NamedValue(name: "b", value: "2")])),
            ("sidekick", try image("sidekick")),
        ]
        let pod = try Directory.make(path + "/pods/" + uuid)
        #expect(try pod.lock(wait: false))
        pods.append(pod)
        return try service.register(MetadataDocument(uuid: uuid, manifest: manifest, images: images, network: network), pod: pod)
    }

    private func curl(_ arguments: String..., in network: String? = nil) throws -> Answer {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            (network.map { ["nsenter", "--net=\($0)"] } ?? []) + ["curl", "-s", "-m", "20", "-w", "\n%{http_code} %{content_type}"] + arguments
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let end = text.lastIndex(of: "\n") ?? text.startIndex
        let words = text[end...].dropFirst().split(separator: " ", maxSplits: 1)
        return Answer(status: Int(words.first ?? "") ?? -1, type: words.count > 1 ? String(words[1]) : "", body: String(text[..<end]))
    }

    private static let first = "6733c088-a507-4694-aabf-edbe4fc5266f"
    private static let second = "1c0a9f2e-53a3-4b1c-9d0e-2b6c0e1f7a55"
    private static let text = "text/plain; charset=us-ascii"

    @Test func everyEndpointAsTheSpecHasIt() throws {
        let url = try register(Self.first) + "/acMetadata/v1"
        #expect(try curl(url + "/pod/uuid") == Answer(status: 200, type: Self.text, body: Self.first))
        #expect(
            try curl(url + "/pod/annotations")
                == Answer(status: 200, type: "application/json", body: #"[{"name":"ip-address","value":"10.1.2.3"}]"#))
        let manifest = try curl(url + "/pod/manifest")
        #expect(manifest.type == "application/json")
        #expect(try CanonicalJSON.decode(PodManifest.self, from: manifest.body.utf8).apps?.map(\.name) == ["main", "sidekick"])
        let merged = #"[{"name":"a","value":"1"},{"name":"b","value":"the pod's"},{"name":"c","value":"new"}]"#
        #expect(try curl(url + "/apps/main/annotations") == Answer(status: 200, type: "application/json", body: merged))
        #expect(try curl(url + "/apps/sidekick/annotations") == Answer(status: 200, type: "application/json", body: "[]"))
        let original = String(decoding: try image("sidekick"), as: UTF8.self)
        #expect(try curl(url + "/apps/sidekick/image/manifest") == Answer(status: 200, type: "application/json", body: original))
        #expect(try curl(url + "/apps/main/image/id") == Answer(status: 200, type: Self.text, body: id))
        for (path, status) in [("/apps/other/image/id", 404), ("/apps/main", 404), ("/pod", 404), ("/pod/hmac/sign", 405), ("", 404)] {
            #expect(try curl(url + path).status == status)
        }
        #expect(try curl("-X", "POST", "-d", "x=y", url + "/pod/uuid").status == 405)
        #expect(try curl("-I", url + "/pod/uuid").status == 200)
    }

    @Test func podsVerifyEachOthersSignatures() throws {
        let (mine, other) = (try register(Self.first) + "/acMetadata/v1/pod/hmac", try register(Self.second) + "/acMetadata/v1/pod/hmac")
        let content = ["--data-urlencode", "content=Old MacDonald & co + a = b %"]
        let signed = try curl(content[0], content[1], mine + "/sign")
        #expect(signed.status == 200 && signed.type == Self.text && Data(base64Encoded: signed.body)?.count == 64)
        func verify(_ uuid: String, _ signature: String, _ content: [String], at url: String) throws -> Int {
            try curl(content[0], content[1], "--data-urlencode", "uuid=\(uuid)", "--data-urlencode", "signature=\(signature)", url + "/verify").status
        }
        #expect(try verify(Self.first, signed.body, content, at: mine) == 200)
        #expect(try verify(Self.first, signed.body, content, at: other) == 200)
        #expect(try verify(Self.second, signed.body, content, at: other) == 403)
        #expect(try verify(Self.first, signed.body, ["-d", "content=else"], at: other) == 403)
        #expect(try verify(Self.first, "AAAA", content, at: other) == 403)
        #expect(try verify(Self.first, "not base64", content, at: other) == 403)
        #expect(try verify("nobody", signed.body, content, at: other) == 400)
        #expect(try curl("-d", "other=x", mine + "/sign").status == 400)
        #expect(try curl("-d", "content=%zz", mine + "/sign").status == 400)
        #expect(try curl("-H", "Content-Type: text/plain", "-d", "content=x", mine + "/sign").status == 415)
        #expect(try curl("-d", "content=" + String(repeating: "x", count: 100_000), mine + "/sign").status == 200)
        try String(repeating: "x", count: 300_000).write(toFile: path + "/large", atomically: true, encoding: .utf8)
        #expect(try curl("--data-urlencode", "content@\(path)/large", mine + "/sign").status == 413)
    }

    @Test func noPodSeesAnother() throws {
        let url = try register(Self.first)
        let other = try register(Self.second)
        #expect(url != other)
        let base = url.prefix { $0 != "/" } + "//" + url.split(separator: "/")[1]
        for token in ["", Self.first, String(repeating: "0", count: 32), url.suffix(31), url.suffix(32) + "0", "%2e%2e"] as [any StringProtocol] {
            #expect(try curl("--path-as-is", "\(base)/\(token)/acMetadata/v1/pod/uuid").status == 401)
        }
        #expect(try curl(other + "/acMetadata/v1/pod/uuid").body == Self.second)
    }

    @Test func aNewServiceFindsTheLivingPods() throws {
        let url = try register(Self.first)
        let signature = try curl("-d", "content=x", url + "/acMetadata/v1/pod/hmac/sign").body
        for _ in 0..<200 where try curl(url + "/acMetadata/v1/pod/uuid").status == 200 {
            for pid in processes() { kill(pid, SIGKILL) }
            usleep(100_000)
        }
        #expect(try curl(url + "/acMetadata/v1/pod/uuid").status != 200)
        // The next pod brings it back.
        let other = try register(Self.second)
        let port = other.split(separator: "/")[1]
        let again = "http://\(port)/\(url.suffix(32))/acMetadata/v1/pod"
        #expect(try curl(again + "/uuid").body == Self.first)
        #expect(try curl("-d", "content=x", again + "/hmac/sign").body == signature)
    }

    @Test func itEndsWithTheLastPod() throws {
        let url = try register(Self.first)
        _ = try register(Self.second)
        // On a busy machine the kernel's list may lack it for a while.
        for _ in 0..<200 where processes().isEmpty { usleep(100_000) }
        #expect(processes().count == 1)
        pods.removeFirst()
        for _ in 0..<100 where try curl(url + "/acMetadata/v1/pod/uuid").status == 200 { usleep(100_000) }
        #expect(try curl(url + "/acMetadata/v1/pod/uuid").status == 401)
        pods = []
        for _ in 0..<200 where !processes().isEmpty { usleep(100_000) }
        #expect(processes() == [])
        // And is there again for the next.
        #expect(try curl(register(Self.first) + "/acMetadata/v1/pod/uuid").body == Self.first)
    }

    @Test func aNetworkOfItsOwnIsServedInside() throws {
        let holder = Process()
        holder.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        holder.arguments = ["unshare", "-n", "sh", "-c", "ip link set lo up && echo && exec sleep 1000"]
        let output = Pipe()
        holder.standardOutput = output
        try holder.run()
        defer {
            holder.terminate()
            holder.waitUntilExit()
        }
        _ = output.fileHandleForReading.availableData
        let network = "/proc/\(holder.processIdentifier)/ns/net"
        let url = try register(Self.first, network: network)
        let host = try register(Self.second)
        #expect(try curl(url + "/acMetadata/v1/pod/uuid", in: network).body == Self.first)
        // Neither of them is good at the other's listener.
        #expect(try curl(url.replacing(url.suffix(32), with: host.suffix(32)) + "/acMetadata/v1/pod/uuid", in: network).status == 401)
        #expect(try curl(host.replacing(host.suffix(32), with: url.suffix(32)) + "/acMetadata/v1/pod/uuid").status == 401)
    }

    @Test func itHasNoRights() throws {
        _ = try register(Self.first)
        let pid = try #require(processes().first)
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        for line in ["Uid:\t65534\t65534\t65534\t65534", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            #expect(status.contains(line), "\(status)")
        }
    }

    @Test func clientsThatTakeTheirTimeKeepNoOtherWaiting() throws {
        let url = try register(Self.first)
        let port = url.split(separator: "/")[1].split(separator: ":")[1]
        // More than it serves at once, each with half a request, and one with a line without end.
        let script = """
            import socket, sys
            many = []
            for i in range(200):
                s = socket.create_connection(("127.0.0.1", \(port)))
                s.sendall(b"POST /x HTTP/1.1\\r\\nContent-Length: 100\\r\\n")
                many.append(s)
            refused = 0
            for s in many:
                s.settimeout(20)
                try:
                    if s.recv(1) == b"": refused += 1
                except OSError: refused += 1
            s = socket.create_connection(("127.0.0.1", \(port)))
            s.settimeout(20)
            sent = 0
            try:
                s.sendall(b"GET /")
                while sent < 64 << 20: sent += s.send(b"a" * 65536)
            except OSError: pass
            print(refused, sent < 64 << 20)
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text == "200 True\n")
        #expect(try curl(url + "/acMetadata/v1/pod/uuid").body == Self.first)
    }
}
