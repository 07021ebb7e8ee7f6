import Foundation
import Testing

private let peers = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("umoci") && Lab.has("busybox")

/// Conversion of real archives and from a real registry.
@Suite(.enabled(if: peers, "needs docker-registry, skopeo, umoci and busybox (make setup)"))
struct ConvertTests {
    @Test func anArchiveBecomesAnACI() throws {
        let place = try Place()
        let outcome = try place.run("docker2aci", Lab.busybox)
        #expect(outcome.status == 0 && outcome.errors == "")
        #expect(place.names() == ["library-busybox-latest.aci"])
        let list = try place.shell("tar -tzf library-busybox-latest.aci").output.split(separator: "\n")
        #expect(list.first == "manifest" && list.dropFirst().first == "rootfs/" && list.contains("rootfs/bin/busybox"))
        let architecture = try place.shell("dpkg --print-architecture").output.trimmingCharacters(in: .newlines)
        let manifest = try place.shell(
            "tar -xOzf library-busybox-latest.aci manifest | jq -r '.acKind, .app.exec[0], (.app.environment[] | select(.name == \"GREETING\") | .value), (.labels | sort_by(.name)[] | .value)'"
        ).output
        #expect(manifest.split(separator: "\n").map(String.init) == ["ImageManifest", "sh", "hello", architecture, "linux", "latest"])
    }

    @Test func sameBytesEachTimeAndSameTreeFromEverySource() throws {
        let place = try Place()
        let server = try RegistryServer(place)
        try server.push(Lab.busybox, as: "library/busybox:latest")
        let outcome = try place.shell(
            """
            set -e
            mkdir a b c d
            (cd a; docker2aci --quiet $BUSYBOX); (cd b; taskset -c 0 docker2aci -quiet $BUSYBOX)
            cmp a/*.aci b/*.aci
            (cd c; docker2aci --quiet docker://\(server.address)/library/busybox)
            (cd d; docker2aci --quiet -compression=none \(server.address)/library/busybox)
            cmp <(gunzip -c c/*.aci) d/*.aci
            for i in a c; do (cd $i; tar --delay-directory-restore -xzf *.aci; rm *.aci manifest); done
            diff -r a/rootfs c/rootfs
            cmp <(tar -C a -c --sort=name rootfs) <(tar -C c -c --sort=name rootfs)
            """)
        #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
    }

    @Test func severalPlatformsAreChosenFrom() throws {
        let place = try Place()
        let server = try RegistryServer(place)
        let layout = try place.shell(
            """
            set -e
            skopeo copy -q docker-archive:$BUSYBOX oci:layout:one
            umoci tag --image layout:one arm >/dev/null
            umoci config --image layout:arm --architecture arm64 --config.env GREETING=arm
            python3 - <<'END'
            import json
            index = json.load(open("layout/index.json"))
            for item in index["manifests"]:
                name = item.pop("annotations")["org.opencontainers.image.ref.name"]
                item["platform"] = {"os": "linux", "architecture": "arm64" if name == "arm" else "amd64"}
            json.dump({"schemaVersion": 2, "manifests": [
                {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:DIGEST", "size": 0,
                 "annotations": {"org.opencontainers.image.ref.name": "both"}}]}, open("top.json", "w"))
            index["mediaType"] = "application/vnd.oci.image.index.v1+json"
            json.dump(index, open("inner.json", "w"))
            END
            digest=$(sha256sum <inner.json | cut -c1-64); size=$(stat -c %s inner.json)
            cp inner.json layout/blobs/sha256/$digest
            sed "s/DIGEST/$digest/; s/\\"size\\": 0/\\"size\\": $size/" top.json >layout/index.json
            skopeo copy -q --all --dest-tls-verify=false oci:layout:both docker://\(server.address)/both:latest
            skopeo copy -q --all --format v2s2 --dest-tls-verify=false oci:layout:both docker://\(server.address)/list:latest
            """)
        try #require(layout.status == 0, "\(layout.errors)")
        let query = "tar -xOzf both-latest.aci manifest | jq -r '.app.environment[] | select(.name == \"GREETING\") | .value'"
        #expect(try place.shell("docker2aci --quiet --platform=linux/arm64 \(server.address)/both && \(query)").output == "arm\n")
        #expect(try place.shell("docker2aci --quiet --platform=linux/amd64 \(server.address)/both && \(query)").output == "hello\n")
        // Docker's list of manifests is another document.
        let list = try place.shell(
            """
            curl -s -H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' http://\(server.address)/v2/list/manifests/latest | jq -r .mediaType
            docker2aci --quiet --platform=linux/arm64 -o both-latest.aci \(server.address)/list && \(query)
            """)
        #expect(list.output == "application/vnd.docker.distribution.manifest.list.v2+json\narm\n", "\(list)")
        for name in ["both", "list"] {
            let refused = try place.run("docker2aci", "--platform=linux/s390x", "\(server.address)/\(name)")
            #expect(refused.status == 1 && refused.errors.contains("choose with --platform from: linux/amd64, linux/arm64"))
        }
    }

    // MARK: Errors: one message each, the right exit code, nothing left over

    private func expectFailure(_ place: Place, _ image: String, _ words: String..., left: [String] = [], sourceLocation: SourceLocation = #_sourceLocation)
        throws
    {
        let outcome = try place.run("docker2aci", image)
        #expect(outcome.status == 1, sourceLocation: sourceLocation)
        #expect(outcome.output == "", sourceLocation: sourceLocation)
        let lines = outcome.errors.split(separator: "\n")
        #expect((1...3).contains(lines.count) && lines.allSatisfy { $0.hasPrefix("docker2aci: ") }, "\(outcome.errors)", sourceLocation: sourceLocation)
        for word in words { #expect(outcome.errors.contains(word), "\(outcome.errors)", sourceLocation: sourceLocation) }
        #expect(place.names() == left, sourceLocation: sourceLocation)
        let fetched = try place.run("d2a", "fetch", image)
        #expect(fetched.status == 254 && fetched.output == "", "\(fetched.errors)", sourceLocation: sourceLocation)
        #expect((1...3).contains(fetched.errors.split(separator: "\n").count), "\(fetched.errors)", sourceLocation: sourceLocation)
        #expect(try place.run("d2a", "image", "list", "--no-legend").output == "", sourceLocation: sourceLocation)
        try place.expectNothingLeft(sourceLocation: sourceLocation)
    }

    @Test func unknownImages() throws {
        let (place, elsewhere) = (try Place(), try Place())
        let server = try RegistryServer(elsewhere)
        try server.push(Lab.busybox, as: "library/busybox:latest")
        try expectFailure(place, "\(server.address)/library/busybox:nope", "no tag nope", "it has: latest")
        try FileManager.default.removeItem(atPath: place.store)
        try expectFailure(place, "\(server.address)/nope", "no repository nope")
        try FileManager.default.removeItem(atPath: place.store)
        try expectFailure(place, "\(server.address)/library/busybox@sha256:" + String(repeating: "a", count: 64), "has no image sha256:aaaa")
        try FileManager.default.removeItem(atPath: place.store)
        try expectFailure(place, "127.0.0.1:1/a", "can't reach 127.0.0.1:1")
        try FileManager.default.removeItem(atPath: place.store)
        try expectFailure(place, "BAD//name", "is not an image name")
    }

    @Test func damagedBlobsAreNamed() throws {
        let (place, elsewhere) = (try Place(), try Place())
        let server = try RegistryServer(elsewhere)
        try server.push(Lab.busybox, as: "library/busybox:latest")
        // The same length, other bytes: in the largest blob, which is the layer.
        let damage = try elsewhere.shell(
            "f=$(find registry -name data -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2); printf XXXX | dd of=$f bs=1 seek=1000 conv=notrunc status=none"
        )
        #expect(damage.status == 0)
        try expectFailure(place, "\(server.address)/library/busybox", "layer sha256:", "has the digest sha256:")
        try FileManager.default.removeItem(atPath: place.store)
        #expect(try elsewhere.shell("f=$(find registry -name data -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2); truncate -s 5000 $f").status == 0)
        try expectFailure(place, "\(server.address)/library/busybox")
    }

    @Test func damagedArchives() throws {
        let place = try Place()
        let kept = ["bad.docker"]
        func each(_ make: String, _ words: String, left: [String]) throws {
            #expect(try place.shell(make).status == 0)
            try expectFailure(place, "bad.docker", words, left: left)
            try FileManager.default.removeItem(atPath: place.store)
        }
        try each("head -c 700000 $BUSYBOX >bad.docker", "bad.docker", left: kept)
        try each("head -c 50000 /dev/urandom >bad.docker", "bad.docker", left: kept)
        try each("mkdir x; tar -cf bad.docker x; rmdir x", "without manifest.json", left: kept)
        try each("cp $BUSYBOX bad.docker; printf XXXX | dd of=bad.docker bs=1 seek=300000 conv=notrunc status=none", "unpacks to sha256:", left: kept)
        try each(": >bad.docker", "bad.docker", left: kept)
        // Not JSON, of the wrong types, with less layers than it says.
        let take = "mkdir x; tar -C x -xf $BUSYBOX; cd x; "
        let put = "tar -cf ../bad.docker *; cd ..; rm -r x"
        try each(take + "echo nonsense >manifest.json; " + put, "manifest.json is not the JSON", left: kept)
        try each(take + #"echo '[{"Config":7,"Layers":"none"}]' >manifest.json; "# + put, "manifest.json is not the JSON", left: kept)
        try each(take + #"jq -c '.[].Layers = []' manifest.json >m; mv m manifest.json; "# + put, "names 1 layers, manifest.json 0", left: kept)
        try each(take + #"rm $(jq -r '.[].Layers[0]' manifest.json); "# + put, "bad.docker", left: kept)
        try each(take + #"rm $(jq -r '.[].Config' manifest.json); "# + put, "bad.docker", left: kept)
    }

    @Test func configurationsThatMakeNoSense() throws {
        let place = try Place()
        for config in ["[]", "7", #"{"Env":{"A":"b"}}"#, #"{"User":["root"]}"#, #"{"Volumes":["/a"]}"#, #"{"Labels":{"a":1}}"#, #"{"Cmd":[1,2]}"#] {
            let image = try place.archive("mkdir etc", config: config)
            try expectFailure(place, image, "configuration can't be used", left: ["made.docker"])
            try FileManager.default.removeItem(atPath: place.store)
        }
        // An image without a name is called after its file.
        _ = try place.archive("mkdir etc")
        try place.shell(
            "mkdir x; tar -C x -xf made.docker; cd x; jq -c '.[].RepoTags = null' manifest.json >m; mv m manifest.json; tar -cf ../___.docker *; cd ..; rm -r x made.docker"
        )
        try expectFailure(place, "___.docker", "has no letter or digit", left: ["___.docker"])
    }

    @Test func largeConfigurationsAreFine() throws {
        let place = try Place()
        let variables = (0..<10_000).map { #""V\#($0)=\#($0)""# }.joined(separator: ",")
        let label = String(repeating: "é\\u0001", count: 1 << 18)
        // Too long for a command line: put in with jq.
        let image = try place.archive("mkdir etc", config: #"{"Cmd":["/bin/sh"]}"#)
        try "[\(variables)]".write(toFile: place.path + "/env", atomically: true, encoding: .utf8)
        try "\"\(label)\"".write(toFile: place.path + "/label", atomically: true, encoding: .utf8)
        let outcome = try place.shell(
            """
            set -e; mkdir x; tar -C x -xf \(image); cd x; old=$(jq -r '.[].Config' manifest.json)
            jq -c --slurpfile env ../env --slurpfile text ../label '.config.Env = $env[0] | .config.Labels = {a: $text[0]}' $old >c
            new=$(sha256sum <c | cut -c1-64).json; mv c $new; rm $old; jq -c --arg c $new '.[].Config = $c' manifest.json >m; mv m manifest.json
            tar -cf ../big.docker *; cd ..; docker2aci --quiet big.docker; d2a image validate made-latest.aci; d2a image cat-manifest made-latest.aci >m
            jq '.app.environment | length, .[9999].value' m; jq --slurpfile text label '.app.userLabels.a == $text[0]' m
            """)
        #expect(outcome.output == "made-latest.aci: valid app container image\n10000\n\"9999\"\ntrue\n", "\(outcome)")
    }

    @Test(.enabled(if: Lab.isRoot, "mounting a small file system needs root"))
    func fullDisks() throws {
        let place = try Place()
        try FileManager.default.createDirectory(atPath: place.path + "/small", withIntermediateDirectories: true)
        try #require(try place.shell("mount -t tmpfs -o size=600k,mode=777 tmpfs small").status == 0)
        defer { _ = try? place.shell("umount -l small") }
        let outcome = try Lab.run("docker2aci", [Lab.busybox], in: place.path + "/small")
        #expect(outcome.status == 1 && outcome.errors.contains("No space left on device"))
        #expect(place.names("small") == [])
        let fetched = try Lab.run("d2a", ["--dir=\(place.path)/small/store", "fetch", Lab.busybox], in: place.path)
        let again = try Lab.run("d2a", ["fetch", "--dir=\(place.path)/small/store", Lab.busybox], in: place.path)
        #expect(fetched.status == 2 || fetched.status == 254)
        #expect(again.status == 254 && again.errors.contains("No space left on device"), "\(again.errors)")
        #expect(place.names("small/store/tmp") == [] && place.names("small/store/cas/image") == [])
    }

    @Test func wrongUsage() throws {
        let place = try Place()
        #expect(try place.run("docker2aci").status == 2)
        #expect(try place.run("docker2aci", "-nonsense", "x").status == 2)
        #expect(try place.run("d2a", "nonsense").status == 2)
        #expect(try place.run("docker2aci", "-version").output.contains("appc version 0.8.11"))
        #expect(try place.run("d2a", "image", "cat-manifest", "sha512-ab").status == 254)
    }

    @Test func theRunnerIsLight() throws {
        func calls(_ program: String, _ function: String) throws -> Bool {
            try Lab.run("grep", ["-qaF", "--", function, "\(Lab.programs)/\(program)"]).status == 0
        }
        for heavy in ["curl_easy_init", "archive_read_new", "EVP_DigestInit_ex"] {
            #expect(try calls("d2a-image", heavy) && !calls("d2a", heavy), "\(heavy)")
        }
        // Nothing of all of Foundation, neither inside nor as a library.
        #expect(try calls("d2a", "$s20FoundationEssentials") && !calls("d2a", "$s10Foundation") && !calls("d2a", "libFoundation.so"))
    }
}
