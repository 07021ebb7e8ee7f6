import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("nginx") && Lab.has("gpg") && Lab.has("gpgv") && Lab.has("openssl") && Lab.has("unshare")

/// An HTTPS server with pages of discovery and signed images, by its own name in a network of its own.
@Suite(.enabled(if: ready, "needs root, nginx, gpg, gpgv, openssl and unshare (make setup)"))
struct DiscoveryTests {
    /// Runs a script where `example.com` is a server of ours, and `/etc/d2a` is the test's.
    static func shell(_ script: String) throws -> Outcome {
        let place = try Place()
        let inside =
            FetchTests.functions + """
                ip link set lo up; mkdir -p etc www gnupg d2a; chmod 700 gnupg; chmod 711 .; printf '127.0.0.1 localhost example.com plain.example\\n' >etc/hosts; mount --bind etc/hosts /etc/hosts
                mkdir -p /etc/d2a; mount --bind d2a /etc/d2a
                openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=example.com -addext subjectAltName=DNS:example.com 2>/dev/null
                chmod 644 cert.pem; export SSL_CERT_FILE=$PWD/cert.pem CURL_CA_BUNDLE=$PWD/cert.pem GNUPGHOME=$PWD/gnupg
                cat >nginx.conf <<END
                pid $PWD/nginx.pid; error_log $PWD/nginx.log; daemon off; worker_processes 1; user root;
                events { worker_connections 64; }
                http { log_format short '\\$request_uri \\$status'; access_log $PWD/access.log short; default_type text/html; client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2;
                       fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
                       server { listen 127.0.0.1:80; listen 127.0.0.1:443 ssl; ssl_certificate $PWD/cert.pem; ssl_certificate_key $PWD/key.pem; root $PWD/www; include $PWD/more*.conf; } }
                END
                nginx -c $PWD/nginx.conf -p $PWD 2>/dev/null & server=$!
                trap 'kill -KILL $(cat nginx.pid) $server; gpgconf --kill all' EXIT
                for i in $(seq 100); do curl -s -o /dev/null https://example.com/ && break; sleep 0.05; done
                cat >www/index.html <<'END'
                <html><head><meta name="ac-discovery" content="example.com https://example.com/images/{name}-{version}-{os}-{arch}.{ext}">
                <meta name="ac-discovery-pubkeys" content="example.com https://example.com/pubkeys.gpg"></head></html>
                END
                gpg --batch -q --passphrase '' --quick-generate-key 'Maker <maker@example.com>' ed25519 sign never 2>/dev/null
                gpg --batch -q --passphrase '' --quick-generate-key 'Other <other@example.com>' ed25519 sign never 2>/dev/null
                gpg --armor --export maker@example.com >www/pubkeys.gpg; gpg --armor --export other@example.com >other.gpg
                sign() { rm -f $1.asc; gpg --batch -q --armor -u $2@example.com --detach-sign -o $1.asc $1; }
                arch=$(dpkg --print-architecture | sed s/arm64/aarch64/); mkdir -p www/images/example.com
                # publish NAME VERSION SIGNER [MORE]
                publish() {
                    printf '{"acKind":"ImageManifest","acVersion":"0.8.11","name":"%s","labels":[{"name":"version","value":"%s"},{"name":"os","value":"linux"},{"name":"arch","value":"%s"}]%s}' \\
                        $1 $2 $arch "$4" >manifest
                    tar -czf www/images/$1-$2-linux-$arch.aci manifest rootfs; sign www/images/$1-$2-linux-$arch.aci $3
                }
                tree; echo hello >rootfs/file; set +e

                """ + script
        try inside.write(toFile: place.path + "/inside.sh", atomically: true, encoding: .utf8)
        return try place.shell("unshare --net --mount --pid --fork --kill-child --mount-proc bash inside.sh")
    }

    @Test func signedByATrustedKey() throws {
        let outcome = try Self.shell(
            """
            publish example.com/app 1.0.0 maker
            d2a fetch example.com/app:1.0.0 2>&1 | head -1
            d2a fetch --insecure-options=image example.com/app:1.0.0 | cut -c1-7
            d2a trust --prefix=example.com/app --skip-fingerprint-review 2>/dev/null | sed 's/[0-9A-F]\\{4\\}/X/g'
            find d2a -type f | sed 's/[0-9a-f]\\{40\\}/FINGERPRINT/'
            d2a fetch example.com/app:1.0.0 2>&1 | sed 's/sha512-.*/ID/'; : >access.log
            d2a fetch example.com/app:1.0.0 2>&1 | cut -c1-7; grep -v discovery access.log
            publish example.com/app 2.0.0 other; d2a fetch appc:example.com/app:2.0.0 2>&1 | head -1 | sed 's/: [0-9A-F]*$//'
            publish example.com/app 3.0.0 maker; echo more >rootfs/file; tar -czf www/images/example.com/app-3.0.0-linux-$arch.aci manifest rootfs; d2a fetch example.com/app:3.0.0 2>&1 | head -1
            publish example.com/app 6.0.0 maker; head -c 5000 /dev/urandom >www/images/example.com/app-6.0.0-linux-$arch.aci; d2a fetch example.com/app:6.0.0 2>&1 | head -1
            publish example.com/app 4.0.0 maker; mv www/images/example.com/app-4.0.0-linux-$arch.aci www/images/example.com/app-5.0.0-linux-$arch.aci
            mv www/images/example.com/app-4.0.0-linux-$arch.aci.asc www/images/example.com/app-5.0.0-linux-$arch.aci.asc; d2a fetch example.com/app:5.0.0 2>&1 | head -1
            mv www/images/example.com/app-1.0.0-linux-$arch.aci.asc elsewhere; d2a run ./images.aci --signature=elsewhere 2>&1 | head -1
            cp www/images/example.com/app-1.0.0-linux-$arch.aci apart.aci; d2a run ./apart.aci --signature=elsewhere 2>&1 | head -1
            rm www/images/example.com/*.asc; d2a fetch --insecure-options=tls https://example.com/images/example.com/app-2.0.0-linux-$arch.aci 2>&1 | grep -c 'has no signature'
            d2a image list --no-legend --fields=name
            for name in junk $(printf 'e%.0s' $(seq 40)); do echo nonsense >d2a/trustedkeys/prefix.d/example.com/app/$name; done
            publish example.com/app 7.0.0 maker; d2a fetch example.com/app:7.0.0 2>&1 | sed 's/sha512-.*/ID/; s/e\\{40\\}/E/'
            """)
        #expect(
            outcome.output
                == """
                d2a: no key is trusted for example.com/app
                sha512-
                gpg key fingerprint is: X X X X X  X X X X X
                \tMaker <maker@example.com>
                d2a/trustedkeys/prefix.d/example.com/app/FINGERPRINT
                image: signature verified:
                  Maker <maker@example.com>
                ID
                sha512-
                /images/example.com/app-1.0.0-linux-amd64.aci 304
                d2a: example.com/app is signed by a key that isn't trusted for it
                d2a: example.com/app is not what was signed: the signature doesn't fit
                d2a: example.com/app is not what was signed: the signature doesn't fit
                d2a: example.com/app: asked for the label version=5.0.0, but version=4.0.0 came
                d2a: can't open ./images.aci: No such file or directory
                image: signature verified:
                1
                example.com/app:1.0.0
                d2a: warning: /etc/d2a/trustedkeys/prefix.d/example.com/app/E is no key
                image: signature verified:
                  Maker <maker@example.com>
                ID

                """, "\(outcome)")
    }

    /// An image is run by the name that discovery finds; plain HTTP is spoken only where that is allowed; and where no server may be asked, none is.
    @Test func runByName() throws {
        let outcome = try Self.shell(
            """
            mkdir -p rootfs/bin; cp $(command -v busybox) rootfs/bin/sh; app=',"app":{"exec":["/bin/sh","-c","echo ran"],"user":"0","group":"0"}'
            publish example.com/app 1.0.0 maker "$app"; sed -i 's|</head>|<meta name="ac-discovery" content="plain.example http://plain.example/images/{name}-{version}-{os}-{arch}.{ext}"></head>|' www/index.html
            mkdir www/images/plain.example; publish plain.example/app 2.0.0 maker "$app"
            : >access.log; d2a run --pull-policy=never example.com/app:1.0.0 2>&1 | head -1; d2a run --pull-policy=never appc:example.com/app:1.0.0 2>&1 | head -1; wc -l <access.log
            d2a run --trust-keys-from-https example.com/app:1.0.0 2>/dev/null; d2a run --pull-policy=never example.com/app:1.0.0; d2a run appc:example.com/app
            d2a fetch --insecure-options=image appc:plain.example/app:2.0.0 2>&1 | head -1; d2a run --insecure-options=image,http plain.example/app:2.0.0
            d2a trust --prefix=plain.example --skip-fingerprint-review http://plain.example/pubkeys.gpg 2>&1 | head -1
            d2a trust --insecure-options=pubkey --prefix=plain.example --skip-fingerprint-review http://plain.example/pubkeys.gpg 2>/dev/null | tail -1
            """)
        #expect(
            outcome.output == """
                d2a: no image example.com/app:1.0.0 in the store
                d2a: no image example.com/app:1.0.0 in the store
                0
                ran
                ran
                ran
                d2a: discovery of plain.example/app:2.0.0 finds no image: no page of plain.example says where it is
                ran
                d2a: http://plain.example/pubkeys.gpg is plain HTTP: anybody on the way could send another key
                \tMaker <maker@example.com>

                """, "\(outcome)")
    }

    @Test func whatItIsBuiltOnComesAlong() throws {
        let outcome = try Self.shell(
            """
            publish example.com/base latest maker
            publish example.com/top 1 maker ',"dependencies":[{"imageName":"example.com/base"}]'
            publish example.com/loop 1 maker ',"dependencies":[{"imageName":"example.com/loop","labels":[{"name":"version","value":"1"}]}]'
            publish example.com/size 1 maker ',"dependencies":[{"imageName":"example.com/base","size":7}]'
            d2a fetch --trust-keys-from-https appc:example.com/top:1 2>/dev/null | grep sha512 | cut -c1-7; d2a image list --sort=name --no-legend --fields=name
            d2a fetch --trust-keys-from-https example.com/loop:1 2>&1 | grep 'on itself'; d2a image rm example.com/base >/dev/null
            d2a fetch --trust-keys-from-https example.com/size:1 2>&1 | grep 'says 7'; d2a image list --sort=name --no-legend --fields=name
            d2a fetch appc:example.com/none 2>&1 | head -1; d2a fetch appc:other.example/none 2>&1 | head -1; gpg --armor --export >two.gpg
            d2a trust --root --skip-fingerprint-review two.gpg 2>&1 | head -1; d2a trust --root other.gpg 2>&1 >/dev/null </dev/null | tail -2 | head -1
            """)
        #expect(outcome.output.hasPrefix("sha512-\nexample.com/base:latest\nexample.com/top:1\nd2a: example.com/loop:1 is built on itself"), "\(outcome)")
        for words in [
            "where what is built on it says 7", "the server answers 404", "discovery of other.example/none finds no image", "two.gpg holds no",
            "there is no terminal",
        ] {
            #expect(outcome.output.contains(words), "\(words): \(outcome)")
        }
    }
}
