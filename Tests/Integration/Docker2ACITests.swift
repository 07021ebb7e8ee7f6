import Foundation
import Testing

private let ready = Lab.has("skopeo") && Lab.has("umoci") && Lab.has("busybox")

/// `docker2aci` as scripts that were written for the ancestor call it, and what is new.
@Suite(.enabled(if: ready, "needs skopeo, umoci and busybox (make setup)"))
struct Docker2ACITests {
    /// What appc/docker2aci 0.17.2 prints on standard output for this image, recorded.
    private static let ancestorsText = """

        Converted volumes:
        \tname: "volume-data", path: "/data", readOnly: false

        Converted ports:
        \tname: "80-tcp", protocol: "tcp", port: 80, count: 1, socketActivated: false

        Generated ACI(s):
        library-busybox-latest.aci

        """

    /// The forms that Go's flag package takes.
    @Test(arguments: [
        [], ["-debug"], ["--debug"], ["-debug=true"], ["--debug=false"], ["-compression=gzip"], ["--compression", "gzip"], ["-compression", "gzip"],
        ["-insecure-skip-verify"], ["--insecure-allow-http=true"], ["-image=busybox"], ["--image", "busybox:latest"],
    ])
    func sameFilesAndText(_ options: [String]) throws {
        let place = try Place()
        let outcome = try Lab.run("docker2aci", options + [Lab.busybox], in: place.path)
        #expect(outcome.status == 0 && outcome.output == Self.ancestorsText, "\(outcome)")
        #expect(place.names() == ["library-busybox-latest.aci"])
        #expect(outcome.errors.isEmpty == !(options.contains { $0.hasSuffix("debug") || $0.hasSuffix("debug=true") }), "\(outcome.errors)")
        #expect(try place.shell("file=library-busybox-latest.aci; gzip -t $file && tar -tzf $file | head -2").output == "manifest\nrootfs/\n")
    }

    @Test func theOutputGoesWhereItIsWanted() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            mkdir there
            docker2aci -o there $BUSYBOX | tail -1; docker2aci --output=there/named.aci $BUSYBOX | tail -1; docker2aci -o=mine.aci $BUSYBOX | tail -1
            docker2aci --quiet -o there/ $BUSYBOX; ls . there; cmp there/named.aci mine.aci
            docker2aci -o nowhere/x.aci $BUSYBOX; echo $?
            """)
        #expect(
            outcome.output == """
                there/library-busybox-latest.aci
                there/named.aci
                mine.aci
                .:
                mine.aci
                there

                there:
                library-busybox-latest.aci
                named.aci
                1

                """, "\(outcome)")
        #expect(outcome.errors.contains("nowhere"))
    }

    /// What is named like a file and isn't there is no image of a registry, but where that is said.
    @Test func filesThatAreNotThere() throws {
        let place = try Place()
        for name in ["none.aci", "none.tar.gz", "./none", "/none"] {
            let outcome = try place.run("docker2aci", "--quiet", name)
            #expect(outcome.status == 1 && outcome.errors == "docker2aci: can't open \(name): No such file or directory\n", "\(outcome)")
        }
        let outcome = try place.run("docker2aci", "--quiet", "--retry=0", "docker://127.0.0.1:1/none.aci")
        #expect(outcome.status == 1 && outcome.errors.contains("127.0.0.1:1"), "\(outcome)")
    }

    @Test func whatBecameOfTheFieldsIsTold() throws {
        let place = try Place()
        let image = try place.archive("mkdir -p etc", config: #"{"Cmd":["x"],"Healthcheck":{"Test":["NONE"]},"Env":["nothing"],"WorkingDir":"w"}"#)
        let told = try place.run("docker2aci", "--report", "--quiet", image)
        #expect(
            told.errors == """
                docker2aci: warning: Env[0]: "nothing" has no name and value: it is left out
                docker2aci: changed: WorkingDir: "w" became absolute
                docker2aci: annotation: Healthcheck: kept as d2a.io/docker/healthcheck
                docker2aci: annotation: /rootfs: kept as d2a.io/docker/rootfs

                """, "\(told)")
        let json = try place.shell("docker2aci --json made.docker 2>/dev/null | jq -r '.aci, .name, (.notes[] | .outcome + \" \" + .field)'")
        #expect(json.output == "made-latest.aci\nmade\nchanged WorkingDir\ndropped Env[0]\nannotation Healthcheck\nannotation /rootfs\n", "\(json)")
        #expect(try place.run("docker2aci", "--quiet", image).output == "")
    }

    @Test func acisAreCheckedAndPatched() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            docker2aci --quiet -o a.aci $BUSYBOX
            for codec in none xz bzip2 zstd; do docker2aci --quiet --compression $codec -o $codec.aci $BUSYBOX 2>/dev/null; done
            d2a image validate a.aci none.aci xz.aci bzip2.aci zstd.aci; d2a image validate --type=manifest a.aci 2>/dev/null; echo $?
            d2a image patch-manifest --exec "/bin/sh -c id" --user 5 --group 6 --name example.com/patched --environment A=b --label version=2 \\
                --port web,protocol=udp,port=53,count=2 --mount data,path=/d,readOnly=true --capability CAP_KILL,CAP_CHOWN a.aci b.aci
            d2a image validate b.aci
            d2a image cat-manifest b.aci | jq -c '.name, (.labels[] | select(.name == "version").value), (.app | .exec, .user, .group, .environment, .isolators, (.ports | length), (.mountPoints | length))'
            cmp <(tar -xOzf a.aci rootfs/bin/busybox) <(tar -xOzf b.aci rootfs/bin/busybox); diff <(tar -tzf a.aci) <(tar -tzf b.aci)
            d2a image patch-manifest --user 7 a.aci b.aci 2>/dev/null; echo $?
            d2a image patch-manifest --user 7 --overwrite a.aci b.aci; d2a image patch-manifest --group 8 --replace b.aci
            d2a image cat-manifest b.aci | jq -r '.app.user + .app.group'
            d2a image patch-manifest --name 'A B' a.aci c.aci 2>&1; ls
            """)
        #expect(
            outcome.output == """
                a.aci: valid app container image
                none.aci: valid app container image
                xz.aci: valid app container image
                bzip2.aci: valid app container image
                zstd.aci: valid app container image
                254
                b.aci: valid app container image
                "example.com/patched"
                "2"
                ["/bin/sh","-c","id"]
                "5"
                "6"
                [{"name":"GREETING","value":"hello"},{"name":"A","value":"b"}]
                [{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL","CAP_CHOWN"]}}]
                2
                2
                254
                78
                d2a: the manifest is not valid: $.name "A B" is not an AC Identifier
                d2a: the rules are the appc spec's, aci.md and pods.md
                a.aci
                b.aci
                bzip2.aci
                none.aci
                xz.aci
                zstd.aci

                """, "\(outcome)")
    }

    @Test func whatIsNoACIIsToldApart() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            say() { d2a image validate $1 2>&1 >/dev/null | head -1; }
            docker2aci --quiet --compression=none -o a.aci $BUSYBOX; mkdir x; tar -C x -xf a.aci; cd x
            head -c 700000 ../a.aci >cut.aci; say cut.aci
            gzip -c ../a.aci | head -c 300000 >cutz.aci; say cutz.aci
            tar -cf no-rootfs.aci manifest; say no-rootfs.aci
            tar -cf no-manifest.aci rootfs; say no-manifest.aci
            touch more; tar -cf more.aci manifest rootfs more; say more.aci
            cp -r rootfs r; rm -r rootfs; touch rootfs; tar -cf file.aci manifest rootfs; say file.aci
            rm rootfs; mv r rootfs; echo '{' >manifest; tar -cf bad.aci manifest rootfs; say bad.aci
            : >empty.aci; say empty.aci; head -c 5000 /dev/urandom >noise.aci; say noise.aci | cut -c1-20; say missing.aci
            """)
        #expect(
            outcome.output == """
                d2a: cut.aci: the data ends in the middle
                d2a: cutz.aci: the data ends in the middle
                d2a: no-rootfs.aci: not an App Container Image: it has no rootfs
                d2a: no-manifest.aci: not an App Container Image: it has no manifest
                d2a: more.aci: not an App Container Image: it has "more" beside manifest and rootfs
                d2a: file.aci: not an App Container Image: its rootfs is not a directory
                d2a: bad.aci: the manifest is not a JSON object
                d2a: empty.aci: not an App Container Image: it has no manifest
                d2a: noise.aci: not 
                d2a: can't open missing.aci: No such file or directory

                """, "\(outcome)")
    }

    /// The command lines of the ancestor's README on images of the same shapes, what appc/docker2aci 0.17.2 prints for them, recorded,
    /// and a script that relies on it. Of `--nosquash` the files' names are those of the README: what 0.17.2 makes of them is a fault.
    @Test(.enabled(if: Lab.has("docker-registry"), "needs docker-registry (make setup)"))
    func theAncestorsReadme() throws {
        let place = try Place()
        let registry = try RegistryServer(try Place())
        let base = "mkdir etc var; echo a >etc/a"
        try registry.push(place.archive(base), as: "library/busybox:latest")
        let ports = ["2379", "2380", "4001", "7001"]
        let etcd = #"{"Entrypoint":["/etcd"],"ExposedPorts":{\#(ports.map { #""\#($0)/tcp":{}"# }.joined(separator: ","))}}"#
        try registry.push(place.archive(base, "mkdir etc; touch etc/.wh.a", "mkdir srv", config: etcd), as: "coreos/etcd:latest")
        let redis = #"{"Cmd":["redis-server"],"ExposedPorts":{"6379/tcp":{}},"Volumes":{"/data":{}}}"#
        try registry.push(place.archive(base, "mkdir data", config: redis), as: "library/redis:latest")
        try place.shell("skopeo copy -q docker-archive:\(place.archive(base)) docker-archive:ubuntu.docker:ubuntu:latest; rm made.docker")

        func line(_ port: String) -> String { "\tname: \"\(port)-tcp\", protocol: \"tcp\", port: \(port), count: 1, socketActivated: false\n" }
        let volume = "\nConverted volumes:\n\tname: \"volume-data\", path: \"/data\", readOnly: false\n"
        let lines: [(command: String, ancestors: String)] = [
            ("docker2aci docker://\(registry.address)/library/busybox", "\nGenerated ACI(s):\nlibrary-busybox-latest.aci\n"),
            (
                "docker2aci --nosquash docker://\(registry.address)/coreos/etcd:latest",
                "\nConverted ports:\n" + ports.map(line).joined()
                    + "\nGenerated ACI(s):\n" + [2, 1, 0].map { "coreos-etcd-latest-linux-amd64-\($0).aci\n" }.joined()
            ),
            ("docker2aci ubuntu.docker", "\nGenerated ACI(s):\nlibrary-ubuntu-latest.aci\n"),
            (
                "docker2aci docker://\(registry.address)/library/redis",
                volume + "\nConverted ports:\n" + line("6379") + "\nGenerated ACI(s):\nlibrary-redis-latest.aci\n"
            ),
        ]
        for (command, ancestors) in lines {
            let outcome = try place.shell(command)
            #expect(outcome.status == 0 && outcome.output == ancestors && outcome.errors == "", "\(command): \(outcome)")
            let script = try place.shell("set -e; for aci in $(\(command) | sed '1,/Generated ACI/d'); do d2a image validate $aci; rm $aci; done; ls")
            let acis = ancestors.split(separator: "\n").filter { $0.hasSuffix(".aci") }
            #expect(script.output == acis.map { "\($0): valid app container image\n" }.joined() + "ubuntu.docker\n", "\(script)")
        }
    }

    @Test func layoutsAreChecked() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            say() { d2a image validate "$@" 2>&1 | head -1; }
            docker2aci --quiet -o a.aci $BUSYBOX; mkdir l; tar -C l -xzf a.aci; say l; say --type layout l/; say --type manifest l; say --type layout a.aci
            touch l/more; say l; rm l/more; mv l/rootfs r; say l; touch l/rootfs; say l; rm l/rootfs; mv r l/rootfs
            echo '{"acKind":"PodManifest","acVersion":"0.8.11","apps":[]}' >l/manifest; say l; rm l/manifest; mkfifo l/manifest; say l
            """)
        #expect(
            outcome.output == """
                l: valid image layout
                l/: valid image layout
                d2a: l: not an image layout: it was to be a manifest
                d2a: a.aci: not an image layout: it is not a directory
                d2a: l: not an image layout: it has "more" beside manifest and rootfs
                d2a: l: not an image layout: it has no rootfs
                d2a: l: not an image layout: its rootfs is not a directory
                d2a: l: the manifest is not valid: $ has no name; $.acKind is "PodManifest", not ImageManifest
                d2a: l: not an image layout: its manifest is not a file

                """, "\(outcome)")
    }
}
