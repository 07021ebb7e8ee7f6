import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("umoci") && Lab.has("python3")

/// Registries of every kind: the real one with each way to log in, one of the first version, and one that misbehaves.
@Suite(.enabled(if: ready, "needs docker-registry, skopeo, umoci and python3 (make setup)"))
struct RegistryTests {
    /// The hash of the uncompressed rootfs, without the manifest, which says where the image came from.
    private func rootfs(_ place: Place, _ command: String, cache: String = "--no-cache") throws -> String {
        let outcome = try place.shell(
            """
            docker2aci --quiet \(cache) --retry-delay 0.02 --compression=none -o image.aci \(command) && size=$(tar -xOf image.aci manifest | wc -c)
            tail -c +$((512 + (size + 511) / 512 * 512 + 1)) image.aci | sha256sum; rm -f image.aci
            """)
        #expect(outcome.status == 0 && outcome.errors == "", "\(command): \(outcome)")
        return outcome.output
    }

    /// Of what was broken, or came in pieces, nothing is kept for the next time.
    private func expectWholeCache(_ place: Place, _ what: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let kept = try place.shell("cd \(place.cache)/blobs; for f in $(find . -type f); do [ ${f##*/} = $(sha256sum <$f | cut -c1-64) ] || echo $f; done")
        #expect(kept.output == "" && kept.errors == "", "\(what): \(kept)", sourceLocation: sourceLocation)
    }

    private func expectRefusal(_ place: Place, _ command: String, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) throws {
        let before = place.names()
        let outcome = try place.shell("docker2aci --retry-delay 0.02 \(command)")
        #expect(outcome.status == 1 && outcome.output == "", "\(command): \(outcome)", sourceLocation: sourceLocation)
        #expect((1...3).contains(outcome.errors.split(separator: "\n").count), "\(command): \(outcome.errors)", sourceLocation: sourceLocation)
        for word in words { #expect(outcome.errors.contains(word), "\(command): \(outcome.errors)", sourceLocation: sourceLocation) }
        #expect(place.names() == before, sourceLocation: sourceLocation)
    }

    @Test func whatCanBeSurvivedIs() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        let expected = try rootfs(place, server.archive)
        for kind in ["plain", "reset", "no-range", "busy", "flaky", "redirect", "drip", "expiring", "unsigned", "only-old"] {
            #expect(try rootfs(place, "\(server.address)/\(kind)/image", cache: "") == expected, "\(kind)")
            try expectWholeCache(place, kind)
            try FileManager.default.removeItem(atPath: place.cache)
        }
        let requests = server.requests
        // Nobody comes back sooner than it was asked to.
        let asked = requests.filter { $0.contains("/busy/image/manifests/latest") }.compactMap {
            $0.firstMatch(of: /"time": ([0-9.]+)/).flatMap { Double($0.1) }
        }
        #expect(asked.count == 2 && asked[1] - asked[0] > 0.95, "\(asked)")
        // Broken off twice, gone on where it stopped.
        #expect(requests.filter { $0.contains("/reset/") && $0.contains(#""range": "bytes="#) }.count >= 2)
        #expect(requests.contains { $0.contains("/elsewhere/") && $0.contains("signature=") })
        // A token that expired in between was renewed.
        #expect(requests.filter { $0.contains("token?") && $0.contains("expiring") }.count >= 2)
    }

    @Test func whatCannotBeSurvivedIsNamed() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        for (kind, words) in [
            ("truncated", "/v2/truncated/image/blobs/sha256:"), ("wrong-bytes", "has the digest sha256:"), ("shorter", "bytes, not"), ("longer", "bytes, not"),
            ("loop", "redirects without end"), ("endless", "bytes, not"), ("html", "can't be understood"), ("huge", "longer than"),
            ("dead", "UNAVAILABLE: down for the night"), ("liar", "has the digest sha256:"),
        ] {
            try expectRefusal(place, "\(server.address)/\(kind)/image", words)
            #expect(try place.run("d2a", "fetch", "--retry-delay=0.02", "\(server.address)/\(kind)/image").status == 254, "\(kind)")
            try place.expectNothingLeft()
            try expectWholeCache(place, kind)
            try FileManager.default.removeItem(atPath: place.store)
        }
        // What is as the registry says, and yet can't be used: nothing of it comes into the cache.
        let blobs = "find $D2A_CACHE/blobs -type f | sort"
        try place.shell("\(blobs) >before")
        try expectRefusal(place, "--max-size=100M \(server.address)/bomb/image", "--max-size")
        for command in ["docker2aci", "docker2aci --nosquash", "d2a fetch", "d2a batch --quiet --retry=0 --attempts=1 -o out"] {
            let outcome = try place.shell(
                "echo \(server.address)/bomb/image >list; \(command) --max-size=100M \(command.contains("batch") ? "list" : "$(cat list)")")
            #expect(outcome.status != 0 && outcome.errors.contains("--max-size"), "\(command): \(outcome)")
            #expect(try place.shell("\(blobs) | comm -13 before -").output == "", "\(command)")
        }
        try expectWholeCache(place, "bomb")
    }

    @Test func credentialsGoWhereTheyBelong() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        let expected = try rootfs(place, server.archive)
        let image = "\(server.address)/private/image"
        try expectRefusal(place, image, "doesn't let us read private/image", "--creds")
        try expectRefusal(place, "--creds=user:wrong-password \(image)", "doesn't let us read", "isn't good for it")
        try expectRefusal(place, "--creds=nonsense \(image)", "USER:PASSWORD")
        for command in [
            "--creds=user:the-password \(image)", "-creds user:the-password \(image)", "--creds user:the-password \(server.address)/basic/image",
            "--creds user:the-password \(server.address)/basic-away/image", "\(server.address)/away/image",
        ] {
            #expect(try rootfs(place, command) == expected, "\(command)")
        }
        let file = place.path + "/auth.json"
        let auth = Data("user:the-password".utf8).base64EncodedString()
        try #"{"auths":{"\#(server.address)":{"auth":"\#(auth)"}}}"#.write(toFile: file, atomically: true, encoding: .utf8)
        // As root, the helper that fetches may not read this file itself.
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        #expect(try place.shell("REGISTRY_AUTH_FILE=\(file) d2a fetch \(image) | cut -c1-7").output == "sha512-\n")
        try #"{"auths":{"\#(server.address)":{"identitytoken":"the-identity-token"}}}"#.write(toFile: file, atomically: true, encoding: .utf8)
        #expect(
            try place.shell("REGISTRY_AUTH_FILE=\(file) docker2aci --quiet \(server.address)/identity/image; ls *.aci").output == "identity-image-latest.aci\n")
        // The credential went to the token service alone, the token to the registry alone, and neither to where that redirects.
        for request in server.requests where request.contains(auth) { #expect(request.contains("/token?") || request.contains("/v2/basic"), "\(request)") }
        for request in server.requests where request.contains("Bearer ") { #expect(request.contains("/v2/"), "\(request)") }
        #expect(server.requests.count { $0.contains("/elsewhere/") } == 4)
    }

    /// Layers that the image's maker keeps elsewhere are fetched there, and whoever they are at learns no password.
    @Test func foreignLayers() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        #expect(try rootfs(place, "--creds=user:the-password \(server.address)/foreign/image") == rootfs(place, server.archive))
        let elsewhere = server.requests.filter { $0.contains("/elsewhere/") }
        #expect(elsewhere.count == 1 && !elsewhere[0].contains("authorization"), "\(elsewhere)")
    }

    @Test func secretsAreNotSeen() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        // The layers drip: there is time to look at all processes. The script is in a file, or it would see itself; the word
        // is not the one that other tests write where it is seen. A program that has not come
        // to hiding its words yet, on a busy machine, is looked at once more.
        try """
        seen() { cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c 'nobody-elses-wor[d]'; }
        look() { sleep 0.4; [ $(seen) = 0 ] || sleep 0.4; seen; }
        while read -r command; do $command >>out 2>&1 </dev/null & look; wait; done <commands
        grep -e nobody-elses-word -e token- -e the-token -e the-signature -e \(Data("user:nobody-elses-word".utf8).base64EncodedString()) out
        """.write(toFile: place.path + "/script", atomically: true, encoding: .utf8)
        try """
        docker2aci --debug --creds user:nobody-elses-word \(server.address)/drip/image
        d2a fetch --creds=user:nobody-elses-word \(server.address)/drip/image
        docker2aci --debug -creds=user:nobody-elses-word \(server.address)/private/none:x
        docker2aci --debug --creds user:nobody-elses-word \(server.address)/basic/html:x
        d2a cache fill --progress=json --creds user:nobody-elses-word \(server.address)/drip/image
        docker2aci --debug --creds user:nobody-elses-word --no-cache \(server.address)/away/image
        d2a fetch --creds user:nobody-elses-word --retry=0 \(server.address)/dead/image
        d2a fetch http://\(server.address)/none.aci?token=the-token
        d2a fetch http://\(server.address)/none.aci?token=the-token --pull-policy=never

        """.write(toFile: place.path + "/commands", atomically: true, encoding: .utf8)
        let outcome = try place.shell("bash script")
        #expect(outcome.output == String(repeating: "0\n", count: 9), "\(outcome)")
        // Of an address it would be seen by all.
        let address = try place.shell("d2a fetch http://user:nobody-elses-word@\(server.address)/none.aci")
        #expect(address.status == 254 && address.errors.contains("auth.d") && !address.errors.contains("nobody-elses-word"), "\(address)")
        #expect(try String(contentsOfFile: place.path + "/out", encoding: .utf8).contains("sha512-"))
    }

    @Test func theFirstVersionOfRegistries() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        let expected = try rootfs(place, server.archive)
        for command in [
            "\(server.oldAddress)/old/image", "\(server.oldAddress)/list/image", "--registry-version=v1 \(server.address)/old/image",
            "\(server.oldAddress)/unsummed/image",
        ] { #expect(try rootfs(place, command) == expected, "\(command)") }
        let manifest = try place.shell(
            "docker2aci --quiet \(server.oldAddress)/old/image; d2a image cat-manifest old-image-latest.aci | jq -r '.annotations[] | select(.name | endswith(\"imageid\")) | .value'"
        )
        #expect(manifest.output.split(separator: "\n").allSatisfy { $0.count == 64 } && manifest.output.split(separator: "\n").count == 2, "\(manifest)")
        for (kind, words) in [
            ("loop", "circle"), ("escape", "is not the id of an image"), ("orphan", "another parent"), ("damaged", "has the digest"),
            ("missing", "no repository"),
        ] { try expectRefusal(place, "\(server.oldAddress)/\(kind)/image", words) }
        try expectRefusal(place, "\(server.oldAddress)/old/image:none", "no tag none", "it has: latest")
        try expectRefusal(place, "--registry-version=v2 \(server.oldAddress)/old/image", "doesn't answer as a registry does")
        // The token and the cookie of the index went to the registry it names.
        #expect(server.requests.filter { $0.contains("/layer") }.allSatisfy { $0.contains("Token signature=0123") && $0.contains("the-cookie") })
    }

    @Test func schemaOne() throws {
        let place = try Place()
        let server = try RegistryServer(try Place(), options: "compatibility: {schema1: {enabled: true}}\n")
        let fixture = try FixtureRegistry(try Place())
        let archive = fixture.archive
        try server.push(archive, as: "old/image:latest", "--format=v2s1")
        let signed = try place.shell("curl -s http://\(server.address)/v2/old/image/manifests/latest | jq -r '.schemaVersion, (.signatures | length)'")
        try #require(signed.output == "1\n1\n", "\(signed)")
        let digest = try place.shell("curl -sI http://\(server.address)/v2/old/image/manifests/latest | tr -d '\\r' | sed -n 's/^Docker-Content-Digest: //p'")
            .output
            .trimmingCharacters(in: .newlines)
        let expected = try rootfs(place, archive)
        #expect(try rootfs(place, "\(server.address)/old/image") == expected)
        #expect(try rootfs(place, "\(server.address)/old/image@\(digest)") == expected)
        let manifest = try place.shell(
            "docker2aci --quiet \(server.address)/old/image; d2a image cat-manifest old-image-latest.aci | jq -r '.annotations[] | select(.name | test(\"docker/(imageid|manifesthash)\")) | .value'"
        )
        #expect(manifest.output.contains(digest) && manifest.output.split(separator: "\n").contains { $0.count == 64 }, "\(manifest)")
    }

    @Test(.enabled(if: Lab.has("htpasswd"), "needs htpasswd (make setup)"))
    func passwordsOfTheRealRegistry() throws {
        let (place, elsewhere) = (try Place(), try Place())
        try #require(try elsewhere.shell("htpasswd -Bbn user the-password >passwords").status == 0)
        let server = try RegistryServer(elsewhere, options: "auth: {htpasswd: {realm: here, path: \(elsewhere.path)/passwords}}\n")
        try server.push(Lab.busybox, as: "library/busybox:latest", "--dest-creds=user:the-password")
        try expectRefusal(place, "\(server.address)/library/busybox", "doesn't let us read")
        try expectRefusal(place, "--creds=user:wrong \(server.address)/library/busybox", "doesn't let us read")
        #expect(try rootfs(place, "--creds=user:the-password \(server.address)/library/busybox") == rootfs(place, Lab.busybox))
    }

    /// From the directories that Docker's and podman's users have, and from ours.
    @Test(.enabled(if: Lab.isRoot && Lab.has("unshare"), "needs root and unshare")) func certificatesOfTheMachine() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        try registry.push(Lab.busybox, as: "library/busybox:latest")
        let server = try WebServer(try Place(), location: "proxy_pass http://\(registry.address);")
        try """
        mkdir t && mount -t tmpfs tmpfs t && mkdir t/upper t/work && mount -t overlay -o lowerdir=/etc,upperdir=t/upper,workdir=t/work etc /etc || exit 1
        convert() { docker2aci --quiet --no-cache -o x.aci \(server.address)/library/busybox 2>&1 | head -1 | grep -o "can't be trusted"; d2a fetch --no-cache \(server.address)/library/busybox 2>&1 | head -1 | grep -o -e sha512- -e "can't be trusted"; }
        convert
        for name in docker containers d2a; do
            mkdir -p /etc/$name/certs.d/\(server.address); cp \(server.place.path)/cert.pem /etc/$name/certs.d/\(server.address)/ca.crt; convert; rm -r /etc/$name/certs.d
        done
        """.write(toFile: place.path + "/script", atomically: true, encoding: .utf8)
        let outcome = try place.shell("unshare --mount bash script")
        #expect(outcome.output == "can't be trusted\ncan't be trusted\nsha512-\nsha512-\nsha512-\n", "\(outcome)")
    }

    /// A private authority, and a registry that wants to know who we are: both from the directories that Docker's users have.
    @Test func certificates() throws {
        let (place, elsewhere) = (try Place(), try Place())
        let made = try elsewhere.shell(
            """
            set -e; exec 2>log
            new() { openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1; openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.cert; }
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority
            echo subjectAltName=IP:127.0.0.1 >server.ext; echo extendedKeyUsage=clientAuth >client.ext; new server; new client
            """)
        try #require(made.status == 0, "\(made)")
        let certificate = "certificate: \(elsewhere.path)/server.cert, key: \(elsewhere.path)/server.key"
        let server = try RegistryServer(elsewhere, http: ", tls: {\(certificate), clientcas: [\(elsewhere.path)/ca.crt]}")
        let directory = "\(place.path)/home/.config/containers/certs.d/\(server.address)"
        _ = try place.shell("mkdir -p \(directory); cp \(elsewhere.path)/{ca.crt,client.cert,client.key} \(directory); chmod 600 \(directory)/*; mkdir -p none")
        try server.push(Lab.busybox, as: "busybox:latest", "--dest-cert-dir=\(directory)")
        let expected = try rootfs(place, Lab.busybox)
        try expectRefusal(place, "\(server.address)/busybox", "can't be trusted", "--insecure-skip-verify")
        let outcome = try place.shell(
            """
            export HOME=$PWD/home; docker2aci --quiet -o home/a.aci \(server.address)/busybox && d2a fetch \(server.address)/busybox | cut -c1-7
            rm \(directory)/client.*; docker2aci --no-cache --quiet -o home/b.aci \(server.address)/busybox 2>/dev/null; echo $?; ls home
            """)
        #expect(outcome.output == "sha512-\n1\na.aci\n", "\(outcome)")
        #expect(try rootfs(place, Lab.busybox) == expected)
    }
}
