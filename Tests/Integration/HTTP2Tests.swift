import Foundation
import Synchronization
import Testing
import Threads
import Transport

private let ready = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("nginx") && Lab.has("openssl")

/// Several downloads from one host over one connection, where that speaks HTTP/2.
@Suite(.enabled(if: ready, "needs docker-registry, skopeo, nginx and openssl (make setup)"))
struct HTTP2Tests {
    @Test func layersShareAConnection() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let image = try place.archive((0..<8).map { "head -c \(300_000 + $0) /dev/urandom >file\($0)" })
        try registry.push(image, as: "many/layers:latest")
        // Slow enough that there are always several under way.
        let pass = "limit_rate 400k; proxy_pass http://\(registry.address);"
        for (protocols, name) in [("http2", "HTTP/2.0"), ("", "HTTP/1.1")] {
            let server = try WebServer(try Place(), protocols: protocols, location: pass)
            let outcome = try place.shell(
                """
                export SSL_CERT_FILE=\(server.place.path)/cert.pem
                docker2aci --quiet --no-cache --jobs=4 --compression=none \(server.address)/many/layers; tar -xOf many-layers-latest.aci --wildcards 'rootfs/file*' | sha256sum
                docker2aci --quiet --compression=none -o file.aci made.docker; tar -xOf file.aci --wildcards 'rootfs/file*' | sha256sum
                """)
            let sums = outcome.output.split(separator: "\n")
            #expect(sums.count == 2 && sums[0] == sums[1] && outcome.errors == "", "\(outcome)")
            let answers = server.answers
            #expect(answers.count >= 10 && answers.allSatisfy { $0[1] == name && $0[2] == "200" }, "\(answers)")
            #expect(answers.count { $0[3].contains("/blobs/") } == 9)
            let connections = Set(answers.map { $0[0] }).count
            #expect(protocols == "http2" ? connections == 1 : (2...5).contains(connections), "\(name): \(connections)")
        }
    }

    /// All that come over one connection break off with it, and go on over the next.
    @Test func aConnectionThatBreaks() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let image = try place.archive((0..<4).map { "head -c \(1_000_000 + $0) /dev/urandom >file\($0)" })
        try registry.push(image, as: "many/layers:latest")
        // Slow enough that several are under way when it happens.
        let server = try WebServer(try Place(), protocols: "http2", location: "limit_rate 300k; proxy_pass http://\(registry.address);")
        let relay = try FixtureServer.relay(to: String(server.address.replacing("localhost", with: "127.0.0.1")), rate: "cut=1500000")
        let outcome = try place.shell(
            """
            export SSL_CERT_FILE=\(server.place.path)/cert.pem
            docker2aci --quiet --no-cache --retry-delay=0 --compression=none localhost:\(relay.port)/many/layers; tar -xOf many-layers-latest.aci --wildcards 'rootfs/file*' | sha256sum
            docker2aci --quiet --compression=none -o file.aci made.docker; tar -xOf file.aci --wildcards 'rootfs/file*' | sha256sum
            """)
        let sums = outcome.output.split(separator: "\n")
        #expect(sums.count == 2 && sums[0] == sums[1] && outcome.errors == "", "\(outcome)")
        let again = server.answers.filter { $0[2] == "206" }
        #expect(!again.isEmpty && again.allSatisfy { $0[4].hasPrefix("bytes=") }, "\(server.answers)")
        #expect((2...5).contains(Set(server.answers.map { $0[0] }).count))
    }

    /// By the environment's proxies, as programs in Go read it; never for this machine itself.
    @Test func proxies() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        try registry.push(Lab.busybox, as: "library/busybox:latest")
        let server = try WebServer(try Place(), protocols: "http2", location: "proxy_pass http://\(registry.address);")
        let proxy = try FixtureServer(try Place(), "proxy.py", registry.address, server.address.replacing("localhost", with: "127.0.0.1"))
        let outcome = try place.shell(
            """
            p=http://127.0.0.1:\(proxy.port); name=registry.example/library/busybox; convert() { docker2aci --quiet --no-cache --retry=0 "$@" 2>/dev/null && echo converted || echo no; }
            HTTPS_PROXY=$p convert --insecure-skip-verify $name; https_proxy=$p convert --insecure-skip-verify $name
            HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=$p convert --insecure-allow-http $name; HTTPS_PROXY=http://127.0.0.1:1 http_proxy=$p convert --insecure-allow-http $name
            HTTPS_PROXY=$p HTTP_PROXY=$p NO_PROXY=other.example,registry.example convert --insecure-skip-verify --insecure-allow-http --connect-timeout=2 $name
            HTTPS_PROXY=$p HTTP_PROXY=$p convert \(registry.address)/library/busybox
            """)
        #expect(outcome.output == "converted\nconverted\nconverted\nconverted\nno\nconverted\n", "\(outcome)")
        let requests = proxy.requests
        #expect(requests.count { $0 == "CONNECT registry.example:443" } == 2, "\(requests)")
        let plain = requests.filter { $0.hasPrefix("GET ") }
        #expect(plain.count >= 6 && plain.allSatisfy { $0.hasPrefix("GET http://registry.example/v2/") }, "\(requests)")
    }

    /// What nobody reads isn't read from the network, does not hold up who does read, and comes whole in the end.
    @Test func slowReaders() throws {
        for protocols in ["http2", ""] {
            let place = try Place()
            let made = try place.shell("head -c 48000000 /dev/urandom >large; head -c 3000000 /dev/urandom >small")
            try #require(made.status == 0, "\(made)")
            let server = try WebServer(place, protocols: protocols, location: "root \(place.path);")
            let (large, small) = (try Data(contentsOf: URL(filePath: place.path + "/large")), try Data(contentsOf: URL(filePath: place.path + "/small")))
            var options = TransportOptions()
            options.roots = try String(contentsOfFile: place.path + "/cert.pem", encoding: .utf8)
            let client = HTTPClient(options)
            let results = Mutex<[String: Data]>([:])
            let base = "https://\(server.address)/"
            try parallel(count: 6, workers: 6) { number in
                let name = number < 3 ? "large" : "small"
                var data = Data()
                let response = try client.get(WebAddress(base + name)!) { _, bytes in
                    data.append(contentsOf: bytes)
                    // Those of the large one wait until all others are through, and then now and then.
                    if name == "large" {
                        if data.count == bytes.count { while results.withLock({ $0.count { $0.key.hasPrefix("small") } }) < 3 { usleep(1000) } }
                        if data.count % 7 == 0 { usleep(2000) }
                    }
                }
                #expect(response.status == 200)
                results.withLock { $0["\(name)\(number)"] = data }
            }
            results.withLock { results in
                #expect(results.count == 6)
                for (name, data) in results { #expect(data == (name.hasPrefix("large") ? large : small), "\(name)") }
            }
            #expect(Set(server.answers.map { $0[0] }).count == (protocols == "http2" ? 1 : 6))
        }
    }
}
