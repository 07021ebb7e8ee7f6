import Testing

private let ready = Lab.isRoot && ["nginx", "gpg", "gpgv", "openssl", "unshare", "busybox"].allSatisfy { Lab.has($0) }

/// What `d2a image publish` publishes is found by its name, by HTTPS and with its signature.
@Suite(.enabled(if: ready, "needs root, nginx, gpg, gpgv, openssl, unshare and busybox (make setup)"))
struct PublishTests {
    @Test func aDirectoryThatAServerServes() throws {
        let outcome = try DiscoveryTests.shell(
            """
            rm -rf www/*; chmod 755 www; docker2aci $BUSYBOX >/dev/null
            publish() { d2a image publish --to www --name example.com/tools/box --sign maker@example.com "$@"; }
            publish library-busybox-latest.aci | tr '\\t' ' '
            d2a fetch example.com/tools/box 2>&1 | head -1
            d2a fetch --trust-keys-from-https appc:example.com/tools/box:latest,arch=$arch 2>/dev/null | cut -c1-7
            d2a image list --no-legend --fields=name; d2a image cat-manifest example.com/tools/box | jq -r .name
            find www -type f -printf '%P %i %T@\\n' | sort >before; publish . >/dev/null; find www -type f -printf '%P %i %T@\\n' | sort >after; cmp before after && echo the same
            cut -d' ' -f1 before | sed 's/[0-9A-F]\\{40\\}/KEY/'
            d2a image patch-manifest --label version=2 library-busybox-latest.aci two.aci; publish . | cut -d' ' -f1 | cut -f1
            d2a fetch example.com/tools/box:2 2>/dev/null | cut -c1-7
            cp two.aci three.aci; printf x >>three.aci; publish . 2>&1 >/dev/null | head -1; rm three.aci
            d2a image publish --to www --name example.com/tools/box two.aci 2>&1 | head -1
            d2a image patch-manifest --name example.com/tools/box --environment A=b two.aci other.aci; mv other.aci www/example.com/tools/box-2-linux-$arch.aci; d2a fetch example.com/tools/box:2 2>&1 | head -1
            publish two.aci >/dev/null; d2a fetch example.com/tools/box:2 2>/dev/null | cut -c1-7
            cp two.aci.asc . 2>/dev/null; d2a image publish --to www --name example.com/ --sign nobody two.aci 2>&1 | head -1
            """)
        #expect(
            outcome.output == """
                example.com/tools/box:latest,os=linux,arch=amd64 https://example.com/example.com/tools/box-latest-linux-amd64.aci
                d2a: no key is trusted for example.com/tools/box
                sha512-
                example.com/tools/box:latest
                example.com/tools/box
                the same
                example.com/tools/box-latest-linux-amd64.aci
                example.com/tools/box-latest-linux-amd64.aci.asc
                index.html
                keys/KEY.asc
                example.com/tools/box:latest,os=linux,arch=amd64
                example.com/tools/box:2,os=linux,arch=amd64
                sha512-
                d2a: ./three.aci and ./two.aci would both be example.com/tools/box-2-linux-amd64.aci
                d2a: example.com/tools/box-2-linux-amd64.aci has a signature where it is published, and this image has none
                d2a: example.com/tools/box is not what was signed: the signature doesn't fit
                sha512-
                d2a: gpg has no secret key nobody

                """, "\(outcome)")
    }

    /// A server that people have already: its page stays theirs, and says what theirs must say.
    @Test func elsewhereAndBesideAPageOfTheirs() throws {
        let outcome = try DiscoveryTests.shell(
            """
            rm -rf www/*; mkdir www/files; echo '<html><head></head>mine</html>' >www/index.html; docker2aci $BUSYBOX >/dev/null
            d2a image publish --to www/files --url https://example.com/files/ --name example.com/ library-busybox-latest.aci | cut -f2
            d2a image publish --to www --name example.com/ library-busybox-latest.aci 2>&1 >/dev/null | sed -n 2p; cat www/index.html
            sed -i "s#<head>#&$(d2a image publish --to www/files --url https://example.com/files --name example.com/ *.aci >/dev/null; grep ac-discovery www/files/index.html)#" www/index.html
            rm -r www/example.com; d2a fetch --insecure-options=image appc:example.com/library/busybox | cut -c1-7
            d2a image publish --to www *.aci --name 'example.com/<b>' 2>&1 | head -1; d2a image publish --to www *.aci --name x --url 'https://a b' 2>&1 | head -1
            d2a image patch-manifest --label 'version=../../x' library-busybox-latest.aci bad.aci; d2a image publish --to www bad.aci --name example.com/x 2>&1 | head -1
            d2a image publish --to www $BUSYBOX --name example.com/x 2>&1 | head -1 | sed 's#/.*/##'
            """)
        #expect(
            outcome.output == """
                https://example.com/files/example.com/library/busybox-latest-linux-amd64.aci
                <meta name="ac-discovery" content="example.com https://example.com/{name}-{version}-{os}-{arch}.{ext}">
                <html><head></head>mine</html>
                sha512-
                d2a: "example.com/<b>" can't be found by discovery: such names begin with a host that has no port, and a slash
                d2a: "https://a b" is no address of a web server
                d2a: example.com/x: "../../x" can't be the version of a published image: letters, digits and - . _ ~ +
                d2a: busybox.docker: not an App Container Image: it has no manifest

                """, "\(outcome)")
    }

    @Test(.enabled(if: Lab.pythonPeers != nil, "needs python3 with venv, and moto (make setup)")) func anObjectStore() throws {
        let outcome = try DiscoveryTests.shell(
            """
            mkfifo hold port; \(Lab.pythonPeers ?? "")/python \(Lab.package)/Tests/Fixtures/objects.py log <hold >port 2>/dev/null & exec 8>hold; read port AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY <port
            export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
            echo "location = / { proxy_pass http://127.0.0.1:$port/images/web/index.html; } location / { proxy_pass http://127.0.0.1:$port/images/web/; }" >more.conf
            kill -HUP $(cat nginx.pid); docker2aci $BUSYBOX >/dev/null
            publish() { d2a image publish --to s3://images/web --name example.com/box --sign maker@example.com *.aci; }
            publish | cut -f1; grep -c 'PUT .images.web' log; publish >/dev/null; grep -c 'PUT .images.web' log
            AWS_SECRET_ACCESS_KEY=wrong-secret publish 2>&1 | head -1 | cut -d: -f1-3; AWS_ACCESS_KEY_ID= publish 2>&1 | head -1
            for i in $(seq 100); do curl -s https://example.com/ | grep -q ac-disc && break; sleep 0.1; done
            env -u AWS_ACCESS_KEY_ID d2a fetch --trust-keys-from-https appc:example.com/box 2>/dev/null | cut -c1-7; d2a image list --no-legend --fields=name
            curl -s -o /dev/null -w '%{content_type}\\n' https://example.com/
            d2a fetch https://example.com/example.com/box-latest-linux-$arch.aci 2>/dev/null | cut -c1-7
            """)
        #expect(
            outcome.output == """
                example.com/box:latest,os=linux,arch=amd64
                4
                4
                d2a: s3://images/web/example.com/box-latest-linux-amd64.aci.asc
                d2a: there are no keys for the object store
                sha512-
                example.com/box:latest
                text/html; charset=utf-8
                sha512-

                """, "\(outcome)")
    }
}
