import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("dockerd") && Lab.has("skopeo") && Lab.has("docker-registry") && Lab.has("buildah")

/// Every place that an image can come from, as real tools make it.
@Suite(.enabled(if: ready, "needs root, dockerd, skopeo, buildah and docker-registry (make setup)"))
struct SourceTests {
    private static let functions = """
        rootfs() {
            docker2aci --quiet --compression=none -o image.aci "$@" || return; local size=$(tar -xOf image.aci manifest | wc -c)
            tail -c +$((512 + (size + 511) / 512 * 512 + 1)) image.aci | sha256sum; rm image.aci
        }
        # As docker save wrote archives before 1.10: a directory for each image, and equal layers as links.
        old() {
            mkdir new old; tar -C new -xf $1; local parent= number=0 id layer
            for layer in $(jq -r '.[0].Layers[]' new/manifest.json); do
                id=$(echo $number $layer | sha256sum | cut -c1-64); number=$((number + 1)); mkdir old/$id; echo 1.0 >old/$id/VERSION
                cp $(readlink -f new/$layer) old/$id/layer.tar
                jq -c --arg id $id --arg parent "$parent" '{id: $id, architecture, os, config, created} + if $parent == "" then {} else {parent: $parent} end' \\
                    new/$(jq -r '.[0].Config' new/manifest.json) >old/$id/json
                parent=$id
            done
            printf '{"made":{"latest":"%s"}}' $parent >old/repositories; tar -C old -cf $2 .; rm -r new old
        }

        """

    @Test func theSameImageFromEverywhere() throws {
        let place = try Place()
        let engine = try Engine(try Place())
        let registry = try RegistryServer(try Place(), options: "compatibility: {schema1: {enabled: true}}\n")
        let fixture = try FixtureRegistry(try Place())
        let image = fixture.archive
        try FileManager.default.copyItem(atPath: image, toPath: place.path + "/made.docker")
        try registry.push(image, as: "made:old", "--format=v2s1")
        try registry.push(image, as: "made:latest", "--format=v2s2")
        try registry.push(image, as: "made:oci", "--format=oci")
        let outcome = try place.shell(
            Self.functions + """
                export DOCKER_HOST=\(engine.socket)
                docker load -q -i made.docker >/dev/null; docker save -o saved.docker made:latest; old made.docker old.docker
                gzip -k made.docker; xz -k made.docker; zstd -q made.docker
                skopeo copy -q docker-archive:made.docker oci:layout:latest; skopeo copy -q docker-archive:made.docker oci-archive:layout.tar:latest
                skopeo copy -q --dest-compress-format zstd docker-archive:made.docker oci:zstd:one
                skopeo copy -q docker-archive:made.docker oci:zstd:two
                tar -C layout -cf ./bare.tar . ; touch empty
                for source in made.docker docker-archive:made.docker docker-archive:made.docker:made:latest saved.docker old.docker made.docker.gz made.docker.xz \\
                    made.docker.zst layout ./layout/ oci:layout oci:layout:latest oci-archive:layout.tar layout.tar oci-archive:layout.tar:latest ./bare.tar \\
                    oci:zstd:one docker-daemon:made docker-daemon:made:latest docker-daemon:$(docker images -q --no-trunc made) \\
                    docker://\(registry.address)/made \(registry.address)/made:oci \(registry.address)/made:old \(fixture.oldAddress)/old/image; do
                    echo "$(rootfs $source) $source"
                done
                echo "$(cat made.docker | rootfs -) pipe"; echo "$(rootfs - <made.docker.gz) input"; echo "$(rootfs --image two oci:zstd) --image"
                """)
        #expect(outcome.errors == "")
        let lines = outcome.output.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.count == 27)
        #expect(Set(lines.map { $0[0] }).count == 1, "\(outcome.output)")
    }

    /// By TCP, with and without TLS, as docker's own client takes the environment.
    @Test func enginesOfTheNetwork() throws {
        let (place, elsewhere) = (try Place(), try Place())
        let made = try elsewhere.shell(
            """
            set -e; exec 2>log
            new() { openssl req -newkey rsa:2048 -nodes -keyout $1.key -out $1.csr -subj /CN=$1; openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $1.ext -out $1.cert; }
            openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
            echo subjectAltName=IP:127.0.0.1 >server.ext; echo extendedKeyUsage=clientAuth >client.ext; new server; new client
            mkdir -p certs home/.docker; cp ca.pem certs; cp client.cert certs/cert.pem; cp client.key certs/key.pem; cp certs/* home/.docker
            """)
        try #require(made.status == 0, "\(made)")
        let (path, port) = (elsewhere.path, Int.random(in: 20000..<32768))
        let engine = try Engine(
            try Place(), "-H", "tcp://127.0.0.1:\(port)", "--tlsverify", "--tlscacert=\(path)/ca.pem", "--tlscert=\(path)/server.cert",
            "--tlskey=\(path)/server.key")
        let relay = try FixtureServer(try Place(), "relay.py", String(engine.socket.dropFirst("unix://".count)), "0", "0")
        _ = try place.archive("mkdir etc; echo a >etc/a")
        let outcome = try place.shell(
            Self.functions + """
                docker -H \(engine.socket) load -q -i made.docker >/dev/null; export DOCKER_HOST=tcp://127.0.0.1:\(port); from() { env "$@" bash -c 'docker2aci --quiet -o $RANDOM.aci docker-daemon:made && echo made' 2>&1 | head -1; }
                from DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=\(path)/certs; from DOCKER_TLS_VERIFY=1 HOME=\(path)/home; from DOCKER_TLS=1 DOCKER_CONFIG=\(path)/certs
                DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=\(path)/certs d2a fetch docker-daemon:made | cut -c1-7
                from DOCKER_HOST=127.0.0.1:\(relay.port); from DOCKER_HOST=tcp://127.0.0.1:\(relay.port); ls *.aci | wc -l; rm *.aci
                from DOCKER_TLS_VERIFY=; mkdir bad; from DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$PWD/bad; cp \(path)/certs/*.pem bad; rm bad/cert.pem; from DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$PWD/bad
                from DOCKER_HOST=unix://docker.sock; from DOCKER_HOST=tcp://; from DOCKER_HOST=unix:///none; ls *.aci 2>/dev/null
                """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        let expected = [
            "made", "made", "made", "sha512-", "made", "made", "5", "answers 400 for made", "can't reach the Docker engine at tcp://127.0.0.1:\(port): ",
            "bad: it has key.pem, but no cert.pem", "DOCKER_HOST is \"unix://docker.sock\"", "DOCKER_HOST is \"tcp://\"",
            "unix:///none: No such file or directory",
        ]
        #expect(lines.count == expected.count, "\(outcome)")
        for (line, words) in zip(lines, expected) { #expect(line.hasSuffix(words) || words.count > 8 && line.contains(words), "\(words): \(line)") }
    }

    @Test func theStoreTakesThemToo() throws {
        let place = try Place()
        let engine = try Engine(try Place())
        _ = try place.archive("mkdir etc; echo a >etc/a")
        let outcome = try place.shell(
            """
            export DOCKER_HOST=\(engine.socket); docker load -q -i made.docker >/dev/null; skopeo copy -q docker-archive:made.docker oci:layout:latest
            chmod 600 made.docker
            for source in made.docker oci:layout docker-daemon:made; do d2a fetch $source | cut -c1-7; done; d2a fetch - <made.docker | cut -c1-7
            d2a image list --no-legend | awk '{print $2}' | sort
            """)
        #expect(outcome.output == "sha512-\nsha512-\nsha512-\nsha512-\nlayout:latest\nmade:latest\n", "\(outcome)")
        try place.expectNothingLeft()
    }

    /// Docker 25 and later write an OCI layout that has a manifest.json too; before 1.10 equal layers were links; any may hold several images.
    @Test func archivesOfManyAges() throws {
        let place = try Place()
        _ = try place.archive("mkdir etc; echo a >etc/a", "echo b >b")
        let outcome = try place.shell(
            Self.functions + """
                set -e; mkdir x now; tar -C x -xf made.docker; cd now; mkdir -p blobs/sha256; echo '{"imageLayoutVersion":"1.0.0"}' >oci-layout
                blob() { local hex=$(sha256sum <$1 | cut -c1-64); cp $1 blobs/sha256/$hex; echo blobs/sha256/$hex; }
                config=$(blob ../x/$(jq -r '.[0].Config' ../x/manifest.json)); layers=; described=
                for l in 0 1; do
                    b=$(blob ../x/$l/layer.tar); layers+=",\\"$b\\""
                    described+=",{\\"mediaType\\":\\"application/vnd.oci.image.layer.v1.tar\\",\\"digest\\":\\"sha256:${b##*/}\\",\\"size\\":$(stat -c %s $b)}"
                done
                printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' \
                    ${config##*/} $(stat -c %s $config) "${described#,}" >m; manifest=$(blob m); size=$(stat -c %s m); rm m
                printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"docker.io/library/made:latest","org.opencontainers.image.ref.name":"latest"}}]}' \
                    ${manifest##*/} $size >index.json
                printf '[{"Config":"%s","RepoTags":["made:latest","made:more"],"Layers":[%s]},{"Config":"%s","RepoTags":["other:1"],"Layers":[%s]}]' \
                    $config "${layers#,}" $config "${layers#,}" >manifest.json
                tar -cf ../two.docker *; jq -c '.[:1]' manifest.json >m; mv m manifest.json; tar -cf ../new.docker *; rm manifest.json; tar -cf ../layout.tar *; cd ..
                old made.docker old.docker; mkdir links; tar -C links -xf old.docker; cd links; top=$(jq -r .made.latest repositories); below=$(jq -r .parent $top/json)
                mkdir kept; mv $below/layer.tar kept/layer.tar; ln -s ../kept/layer.tar $below/layer.tar; tar -cf ../links.docker *; cd ..
                for source in made.docker new.docker oci-archive:layout.tar "--image made:latest two.docker" "--image other:1 two.docker" docker-archive:two.docker:made:more old.docker links.docker; do
                    rootfs $source
                done | uniq | wc -l
                docker2aci two.docker 2>&1 | grep -c -e made:latest -e other:1 || true; docker2aci --image none two.docker 2>&1 | head -1; ls *.aci 2>/dev/null || true
                """)
        #expect(outcome.status == 0 && outcome.output.hasPrefix("1\n1\ndocker2aci: two.docker has no image none") && outcome.errors == "", "\(outcome)")
        #expect(!outcome.output.contains(".aci"))
    }

    /// The helper that reads it is nobody.
    @Test func aLayoutThatOnlyRootMayRead() throws {
        let place = try Place()
        _ = try place.archive("mkdir etc; echo a >etc/a")
        let outcome = try place.shell(
            """
            mkdir closed; skopeo copy -q docker-archive:made.docker oci:closed/all:latest; cp -r closed/all closed/files; cp -r closed/all closed/blobs
            chmod -R go= closed; find closed/files -type d | xargs chmod 755; chmod 755 closed/blobs closed/blobs/index.json
            for name in all files blobs; do d2a fetch oci:closed/$name; done | cut -c1-7; docker2aci --quiet -o x.aci oci:closed/all
            mkdir closed/link; cp closed/all/oci-layout closed/link; ln -s /etc/shadow closed/link/index.json; d2a fetch oci:closed/link 2>&1 | head -1
            """)
        #expect(outcome.output.hasPrefix("sha512-\nsha512-\nsha512-\n"), "\(outcome)")
        #expect(outcome.output.contains("closed/link is a directory without index.json"), "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func whatOtherToolsWrite() throws {
        let place = try Place()
        let outcome = try place.shell(
            Self.functions + """
                b() { buildah --root $PWD/storage --runroot $PWD/run --storage-driver vfs "$@"; }
                mkdir tree; echo hello >tree/file; c=$(b from scratch); b add -q $c tree /srv >/dev/null; b config --cmd /srv/file $c; b commit -q $c built >/dev/null
                b push -q built docker-archive:$PWD/built.docker:built:latest; b push -q built oci:$PWD/built:tag; b push -q built oci-archive:$PWD/built.tar:tag
                for source in built.docker oci:built oci-archive:built.tar; do rootfs $source; done
                docker2aci --quiet -o x.aci oci:built && tar -xOzf x.aci rootfs/srv/file && d2a image cat-manifest x.aci | jq -r '.name, .app.exec[0]'
                """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 6 && Set(lines.prefix(3)).count == 1 && lines.suffix(3) == ["hello", "built", "/srv/file"], "\(outcome)")
    }

    @Test func whatIsMissingIsNamed() throws {
        let place = try Place()
        _ = try place.archive("mkdir etc")
        let outcome = try place.shell(
            Self.functions + """
                say() { docker2aci "$@" 2>&1 >/dev/null | head -1; }
                skopeo copy -q docker-archive:made.docker oci:two:a; skopeo copy -q --format v2s2 docker-archive:made.docker oci:two:b; old made.docker old.docker
                mkdir empty; say empty; say oci:two; say oci:two:c; say docker-archive:made.docker:other; say docker-archive:; say oci:none; say docker-daemon:
                DOCKER_HOST=unix:///none/docker.sock say docker-daemon:busybox; DOCKER_HOST=ssh://host say docker-daemon:busybox
                say - </dev/null; head -c 3000 /dev/urandom | say -
                mkdir x; tar -C x -xf old.docker; id=$(jq -r .made.latest x/repositories); jq -c --arg id $id '.parent = $id' x/$id/json >j; mv j x/$id/json
                tar -C x -cf circle.docker .; say circle.docker; rm x/$id/layer.tar; ln -s ../../../etc/passwd x/$id/layer.tar; tar -C x -cf escape.docker .; say escape.docker
                skopeo copy -q docker-archive:made.docker oci:cut; rm cut/blobs/sha256/$(jq -r '.manifests[0].digest' cut/index.json | cut -d: -f2); say cut
                skopeo copy -q docker-archive:made.docker oci:bad; echo >>bad/blobs/sha256/$(jq -r '.manifests[0].digest' bad/index.json | cut -d: -f2); say bad
                skopeo copy -q docker-archive:made.docker oci:link; f=link/index.json; mv $f index.json; ln -s $PWD/index.json $f; say link
                say none.docker; : >nothing; say nothing; say --platform=linux/s390x made.docker; say --platform=linux/s390x oci:two:a; say ftp://host/file; ls *.aci 2>/dev/null
                """)
        let expected = [
            "empty is a directory without index.json", "two holds 2 images: a, b", "two has no image c", "made.docker has no image other", "names no image",
            "can't open directory none", "names no image", "can't reach the Docker engine at unix:///none/docker.sock", "DOCKER_HOST is \"ssh://host\"",
            "standard input",
            "standard input", "circle", "layer.tar, which its manifest names", "cut has no blobs/sha256/", "has the digest sha256:",
            "link is a directory without index.json", "can't open none.docker", "nothing can't be read as an image archive: it is empty",
            "made.docker has no image for linux/s390x", "oci:two:a has no image for linux/s390x", "\"ftp://\" can't stand before it",
        ]
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.count == expected.count, "\(outcome)")
        for (line, words) in zip(lines, expected) { #expect(line.hasPrefix("docker2aci: ") && line.contains(words), "\(words): \(line)") }
    }
}
