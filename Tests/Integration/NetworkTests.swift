import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("python3") && Lab.has("openssl")

/// What lies between a registry and us: mirrors, token servers, slow and silent networks, IPv6.
@Suite(.enabled(if: ready, "needs docker-registry, skopeo, python3 and openssl (make setup)"))
struct NetworkTests {
    private static let password = Data("user:the-password".utf8).base64EncodedString()

    /// A registry that takes the tokens of a server of its own.
    private func tokenRegistry(life: Int) throws -> (registry: RegistryServer, tokens: FixtureServer, place: Place) {
        let place = try Place()
        let made = try place.shell(
            """
            openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=tokens 2>/dev/null
            openssl x509 -in cert.pem -outform DER -out cert.der
            """)
        try #require(made.status == 0, "\(made)")
        let tokens = try FixtureServer(place, "tokens.py", place.path, String(life))
        let registry = try RegistryServer(
            place,
            options:
                "auth: {token: {realm: \"http://127.0.0.1:\(tokens.port)/token\", service: registry, issuer: tokens, rootcertbundle: \(place.path)/cert.pem}}\n"
        )
        return (registry, tokens, place)
    }

    @Test func tokensOfTheRealRegistry() throws {
        let place = try Place()
        let (registry, tokens, _) = try tokenRegistry(life: 100)
        try registry.push(Lab.busybox, as: "private/busybox:latest", "--dest-creds=user:the-password")
        try registry.push(Lab.busybox, as: "public/busybox:latest", "--dest-creds=user:the-password")
        let pushes = tokens.requests.count
        let identity = #"{"auths":{"\#(registry.address)":{"identitytoken":"the-identity-token"}}}"#
        let outcome = try place.shell(
            """
            exec 2>&1; say() { docker2aci --quiet --no-cache "$@" | tail -2; }
            say \(registry.address)/private/busybox; say --creds=user:wrong \(registry.address)/private/busybox; ls
            say \(registry.address)/public/busybox; say --creds=user:the-password \(registry.address)/private/busybox
            echo '\(identity)' >auth.json; REGISTRY_AUTH_FILE=auth.json say -o identity.aci \(registry.address)/private/busybox; ls
            """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 8 && lines[0].contains("doesn't let us read private/busybox") && lines[2].contains("doesn't let us read"), "\(outcome)")
        #expect(lines.suffix(4) == ["auth.json", "identity.aci", "private-busybox-latest.aci", "public-busybox-latest.aci"], "\(outcome)")
        // One token for all that is asked of a repository.
        let requests = tokens.requests.dropFirst(pushes)
        #expect(requests.count == 5 && requests.allSatisfy { $0.contains(":pull\"]") }, "\(requests)")
        #expect(requests.filter { $0.contains("POST") }.count == 1)
    }

    @Test func aTokenThatExpiresInMidPullIsRenewed() throws {
        let place = try Place()
        let (registry, tokens, _) = try tokenRegistry(life: 2)
        let image = try place.archive("head -c 300000 /dev/urandom >a", "head -c 300000 /dev/urandom >b", "head -c 300000 /dev/urandom >c")
        try registry.push(image, as: "private/image:latest", "--dest-creds=user:the-password")
        let relay = try FixtureServer.relay(to: registry.address, rate: "150000")
        let before = tokens.requests.count
        let outcome = try place.shell("docker2aci --quiet --jobs=1 --no-cache --creds=user:the-password 127.0.0.1:\(relay.port)/private/image; ls *.aci")
        #expect(outcome.output == "private-image-latest.aci\n" && outcome.errors == "", "\(outcome)")
        #expect(tokens.requests.count - before >= 2)
    }

    // MARK: Mirrors

    @Test func mirrors() throws {
        let (place, elsewhere) = (try Place(), try Place())
        let (registry, broken, mirror) = (try RegistryServer(try Place()), try RegistryServer(try Place()), try RegistryServer(try Place()))
        let image = try elsewhere.archive("echo one >file", "echo two >other")
        for server in [registry, mirror] { try server.push(image, as: server === mirror ? "copies/made:latest" : "library/made:latest") }
        try broken.push(image, as: "library/made:latest")
        // Has the manifest, and layers that are damaged or gone.
        try broken.damage()
        try """
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        prefix = "registry.example/library"
        location = "\(registry.address)/library"
        [[registry.mirror]]
        location = "127.0.0.1:1/nobody"
        [[registry.mirror]]
        location = "\(broken.address)/library"
        [[registry.mirror]]
        location = "\(mirror.address)/copies"
        insecure = true
        [[registry]]
        location = "blocked.example"
        blocked = true

        """.write(toFile: elsewhere.path + "/registries.conf", atomically: true, encoding: .utf8)
        // Each host gets its own credential, the mirrors nothing of the registry's.
        let setup = "export CONTAINERS_REGISTRIES_CONF=\(elsewhere.path)/registries.conf;"
        let name = "registry.example/library/made"
        let outcome = try place.shell(
            "\(setup) docker2aci --quiet --retry 0 \(name) && tar -xOzf library-made-latest.aci rootfs/file rootfs/other && d2a fetch --retry 0 \(name) | cut -c1-7; d2a image cat-manifest library-made-latest.aci | jq -r .name"
        )
        #expect(outcome.output == "two\none\nsha512-\nregistry.example/library/made\n" && outcome.errors == "", "\(outcome)")
        #expect(!registry.requests.contains { $0.contains("GET") && $0.contains("/blobs/") }, "\(registry.requests)")
        #expect(
            broken.requests.contains { $0.contains("GET") && $0.contains("/blobs/") }
                && mirror.requests.contains { $0.contains("GET") && $0.contains("/blobs/") })
        let others = try place.shell(
            """
            \(setup) exec 2>&1; docker2aci blocked.example/a/b; sed -i '/mirror/,/nobody/d' $CONTAINERS_REGISTRIES_CONF; docker2aci --quiet --no-cache -o again.aci \(name)
            cmp again.aci library-made-latest.aci; echo 'x = [' >$CONTAINERS_REGISTRIES_CONF; docker2aci \(name); d2a fetch \(name)
            """)
        let lines = others.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 6 && lines[0] == "docker2aci: blocked.example/a/b is blocked", "\(others)")
        #expect(lines[2].contains("registries.conf: line ") && lines[4].hasPrefix("d2a: "), "\(others)")
    }

    @Test func mirrorsGetNoCredentials() throws {
        let place = try Place()
        let fixture = try FixtureRegistry(try Place())
        let mirror = try FixtureServer.relay(to: fixture.address, rate: "0")
        try """
        [[registry]]
        location = "\(fixture.address)"
        [[registry.mirror]]
        location = "127.0.0.1:\(mirror.port)"

        """.write(toFile: place.path + "/registries.conf", atomically: true, encoding: .utf8)
        let outcome = try place.shell(
            "export CONTAINERS_REGISTRIES_CONF=$PWD/registries.conf; docker2aci --quiet --creds=user:the-password \(fixture.address)/basic/image; ls *.aci")
        #expect(outcome.output == "basic-image-latest.aci\n" && outcome.errors == "", "\(outcome)")
        #expect(!mirror.requests.isEmpty)
        let manifests = fixture.requests.filter { $0.contains("/basic/image/manifests/latest") }
        // From the mirror without, from the registry without and then with.
        #expect(manifests.map { $0.contains(Self.password) } == [false, false, true], "\(manifests)")
    }

    // MARK: Networks

    /// Layers are read while they come, whichever of them names the root directory: the bytes are those of the archive.
    @Test func whileLayersCome() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let layer = "head -c 200000 /dev/urandom >$RANDOM"
        for (name, layers) in [
            ("top", [layer, layer, "touch -d @5 ."]), ("middle", [layer, layer, "chmod 711 .; touch -d @7 .; touch x", layer, layer, layer]),
        ] {
            let archive = try place.archive(layers)
            // Only one layer names it.
            let rewritten = try place.shell(
                """
                set -e; rm -rf u; mkdir u; cd u; tar -xf ../made.docker
                for l in $(seq 0 \(layers.count - 1)); do
                    [ $l = 2 ] || { mkdir d; tar -C d -xf $l/layer.tar; tar -C d -cf $l/layer.tar $(ls d); rm -r d; }
                done
                ids=$(for l in $(seq 0 \(layers.count - 1)); do sha256sum <$l/layer.tar | cut -c1-64; done | jq -R '"sha256:" + .' | jq -sc .)
                jq -c --argjson ids "$ids" '.rootfs.diff_ids = $ids' $(jq -r '.[0].Config' manifest.json) >c.json; jq -c '.[0].Config = "c.json"' manifest.json >m; mv m manifest.json
                tar -cf ../\(name).docker manifest.json c.json */layer.tar
                """)
            try #require(rewritten.status == 0, "\(rewritten) \(archive)")
            try registry.push("\(place.path)/\(name).docker", as: "\(name):latest")
            let relay = try FixtureServer.relay(to: registry.address, rate: "2000000")
            let outcome = try place.shell(
                """
                hash() { local size=$(tar -xOf $1 manifest | wc -c); tail -c +$((512 + (size + 511) / 512 * 512 + 1)) $1 | sha256sum; }
                docker2aci --quiet --compression=none -o a.aci \(name).docker; hash a.aci
                docker2aci --quiet --compression=none --no-cache -o b.aci 127.0.0.1:\(relay.port)/\(name); hash b.aci
                docker2aci --quiet --compression=none --no-cache --jobs=1 -o c.aci 127.0.0.1:\(relay.port)/\(name); cmp b.aci c.aci
                """)
            let lines = outcome.output.split(separator: "\n")
            #expect(lines.count == 2 && lines[0] == lines[1] && outcome.errors == "", "\(name): \(outcome)")
        }
    }

    @Test func aSilentServerIsGivenUp() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let image = try place.archive("head -c 3000000 /dev/urandom >a")
        try registry.push(image, as: "made:latest")
        let relay = try FixtureServer.relay(to: registry.address, rate: "stall")
        for command in ["docker2aci", "d2a fetch", "d2a cache fill"] {
            let outcome = try place.shell(
                "\(command) --connect-timeout 1 --stall-timeout 1 --retry 1 --retry-delay 0 127.0.0.1:\(relay.port)/made; d2a cache list --no-legend | wc -l")
            #expect(outcome.errors.contains("broke off") && outcome.errors.split(separator: "\n").count <= 3, "\(outcome)")
        }
        #expect(place.names().filter { $0.hasSuffix(".aci") }.isEmpty)
        try place.expectNothingLeft()
        let refused = try place.shell(
            "docker2aci --stall-timeout 0 127.0.0.1:\(relay.port)/made; docker2aci --retry -1 x; docker2aci --retry-delay x x; echo $?")
        #expect(refused.output == "2\n" && refused.errors.contains("--stall-timeout 0"), "\(refused)")
    }

    /// Who downloads for a command ends with it, however that ends.
    @Test func helpersEndWithTheirCallers() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        try registry.push(place.archive("head -c 3000000 /dev/urandom >a"), as: "made:latest")
        for command in ["d2a fetch", "d2a cache fill"] {
            let relay = try FixtureServer.relay(to: registry.address, rate: "stall")
            let outcome = try place.shell(
                """
                \(command) --progress=json 127.0.0.1:\(relay.port)/made 2>events & caller=$!
                # Once a layer is asked for, it has given up its rights.
                for i in $(seq 600); do grep -q started events && break; sleep 0.05; done
                helper=$(pgrep -P $caller); kill -KILL $caller; wait $caller 2>/dev/null
                # Whoever has ended has gone, whether or not somebody has asked how.
                works() { grep -qs '^State:.[^ZX]' /proc/$helper/status; }
                [ -n "$helper" ] || echo "no helper"; for i in $(seq 200); do works || break; sleep 0.05; done
                if works; then kill -KILL $helper; echo "still there"; else echo gone; fi
                """)
            #expect(outcome.output == "gone\n", "\(command): \(outcome)")
        }
    }

    @Test(.enabled(if: (try? Lab.run("sh", ["-c", "grep -q 00000000000000000000000000000001 /proc/net/if_inet6"]).status) == 0, "needs ::1"))
    func sixthVersionOfTheInternetProtocol() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        try registry.push(Lab.busybox, as: "library/busybox:latest")
        let relay = try FixtureServer.relay(to: registry.address, rate: "0", on: "::1")
        let name = "[::1]:\(relay.port)/library/busybox"
        let outcome = try place.shell(
            "docker2aci --quiet \(name); ls; d2a fetch \(name) | cut -c1-7; d2a image list --no-legend | wc -l; docker2aci --quiet \(name)@sha256:0")
        #expect(outcome.output == "library-busybox-latest.aci\nsha512-\n1\n", "\(outcome)")
        #expect(outcome.errors.contains("is not a digest"))
    }
}
