import Foundation
import Testing

private let ready = Lab.isRoot && Lab.has("nginx") && Lab.has("openssl") && Lab.has("busybox") && Lab.has("python3") && Lab.has("jq")

/// ACIs of web servers: downloads that break, servers that want to know who asks, and pipes.
@Suite(.enabled(if: ready, "needs root, nginx, openssl, busybox, python3 and jq (make setup)"))
struct WebTests {
    /// `d2a` where the server's certificate is good, and no signatures are asked for.
    private func shell(_ place: Place, _ server: WebServer, _ script: String) throws -> Outcome {
        try place.shell(FetchTests.functions + "set +e; export SSL_CERT_FILE=\(server.place.path)/cert.pem; F='--insecure-options=image'; exec 2>&1\n" + script)
    }

    private func aci(_ place: Place, _ name: String = "a.aci") throws {
        let made = try place.shell(FetchTests.functions + "tree; head -c 4000000 /dev/urandom >rootfs/data; aci \(name) example.com/a")
        try #require(made.status == 0, "\(made)")
    }

    @Test func aBrokenDownloadGoesOn() throws {
        let files = try Place()
        try aci(files)
        let server = try WebServer(files, location: "root \(files.path);", log: "$status $request_uri $http_range $http_if_range $bytes_sent")
        // Once to the end of a download that broke off, and once where the file is another one when it goes on.
        for changes in [false, true] {
            let relay = try FixtureServer.relay(to: server.address.replacing("localhost", with: "127.0.0.1"), rate: "cut=2000000")
            let place = try Place()
            try server.forget()
            let fetch = "d2a fetch $F --retry=0 https://localhost:\(relay.port)/a.aci"
            let broken = try shell(place, server, fetch)
            #expect(broken.status == 254 && broken.output.contains("the transfer broke off"), "\(broken)")
            #expect(try place.shell("d2a image list --no-legend; ls store/tmp").output == "")
            if changes { try aci(files) }
            let again = try shell(
                place, server, "id=$(\(fetch)); [ $id = sha512-$(sha512sum <\(files.path)/a.aci | cut -c1-128) ] && echo whole; ls store/downloads")
            #expect(again.output == "whole\n", "\(again)")
            let answers = server.answers
            #expect(answers.count == 2 && answers[1][2].hasPrefix("bytes=") && answers[1][3] != "-", "\(answers)")
            #expect(answers[1][0] == (changes ? "200" : "206"), "\(answers)")
            if !changes { #expect((Int(answers[1][4]) ?? .max) < 3_000_000, "\(answers)") }
        }
    }

    /// Also one whose command was killed with all that it started.
    @Test func aKilledDownloadGoesOn() throws {
        let files = try Place()
        try aci(files)
        let server = try WebServer(files, location: "limit_rate 1m; root \(files.path);", log: "$status $request_uri $http_range $http_if_range $bytes_sent")
        let place = try Place()
        let outcome = try shell(
            place, server,
            """
            set -m; fetch() { d2a fetch $F --quiet https://\(server.address)/a.aci; }; fetch & victim=$!
            size() { stat -c %s store/downloads/*/data 2>/dev/null || echo 0; }; for i in $(seq 600); do [ $(size) -lt 1000000 ] || break; sleep 0.05; done
            kill -KILL -- -$victim; wait $victim 2>/dev/null; [ $(size) -ge 1000000 ] && [ $(size) -lt 4000000 ] && echo half; d2a image list --no-legend
            [ "$(fetch)" = $(echo sha512-$(sha512sum <\(files.path)/a.aci | cut -c1-128)) ] && echo whole; ls store/downloads store/tmp
            """)
        #expect(outcome.output.replacing(/.*Killed.*\n/, with: "") == "half\nwhole\nstore/downloads:\n\nstore/tmp:\n", "\(outcome)")
        let answers = server.answers.filter { $0[1] == "/a.aci" }
        #expect(answers.count == 2 && answers[1][0] == "206" && answers[1][2].hasPrefix("bytes=1"), "\(answers)")
        #expect((Int(answers[1].last ?? "") ?? .max) < 3_200_000, "\(answers)")
    }

    /// What `auth.d` has for a host goes to that host, for all that it serves, and nowhere else.
    @Test func passwordsOfDomains() throws {
        let (place, files, elsewhere) = (try Place(), try Place(), try Place())
        for one in [files, elsewhere] { try aci(one) }
        let other = try WebServer(elsewhere, location: "root \(elsewhere.path);", log: "$request_uri $http_authorization.")
        let password = Data("user:the-password".utf8).base64EncodedString()
        let server = try WebServer(
            files,
            location: """
                if ($http_authorization != "Basic \(password)") { return 401; }
                rewrite ^/away(.*)$ https://\(other.address)$1 redirect; root \(files.path);
                """, log: "$status $request_uri $http_authorization.")
        let setup = """
            mkdir -p etc/auth.d
            echo '{"rktKind":"auth","rktVersion":"v1","domains":["\(server.address)"],"type":"basic","credentials":{"user":"user","password":"the-password"}}' >etc/auth.d/a.json
            cat \(elsewhere.path)/cert.pem >>\(files.path)/cert.pem; C=--local-config=$PWD/etc; say() { "$@" |& cut -c1-7; }; u=https://\(server.address)

            """
        let outcome = try shell(
            place, server,
            setup + """
                say d2a fetch $F $u/a.aci | head -1; say d2a fetch $C $F $u/a.aci; d2a fetch $C $u/a.aci |& grep -c 'no signature'
                say d2a fetch $C $F $u/away/a.aci; say d2a fetch $C $F https://\(other.address)/a.aci
                d2a config $C --pretty-print=false | jq -c '[.stage0[0].domains[0] == "\(server.address)", .stage0[0].type]'
                sed -i 's/basic/oauth/; s/"user":"user","password":"the-password"/"token":"the-token"/' etc/auth.d/a.json; d2a fetch $C $F $u/x.aci |& grep -c 401
                sed -i 's/oauth/aws/' etc/auth.d/a.json; d2a fetch $C $F $u/x.aci |& head -1 | grep -c 'the type "aws"'; say d2a fetch $C $F https://\(other.address)/a.aci
                cp etc/auth.d/a.json etc/auth.d/b.json; d2a config $C |& grep -c 'already specified'
                """)
        #expect(outcome.output == "d2a: ht\nsha512-\n1\nsha512-\nsha512-\n[true,\"basic\"]\n1\n1\nsha512-\n1\n", "\(outcome)")
        #expect(!outcome.output.contains("the-password"))
        #expect(server.answers.contains { $0 == ["404", "/a.aci.asc", "Basic", "\(password)."] }, "\(server.answers)")
        #expect(server.answers.contains { $0 == ["401", "/x.aci", "Bearer", "the-token."] }, "\(server.answers)")
        #expect(!other.answers.isEmpty && other.answers.allSatisfy { $0.last == "-." }, "\(other.answers)")
    }

    @Test func pipesProgressAndRemoval() throws {
        let (place, files) = (try Place(), try Place())
        try aci(files)
        let server = try WebServer(files, location: "root \(files.path);")
        let outcome = try shell(
            place, server,
            """
            a=\(files.path)/a.aci; u=https://\(server.address)/a.aci
            for f in gzip cat; do $f <$a | d2a fetch - | cut -c1-7; done; d2a fetch - <$a | cut -c1-7; d2a image list --no-legend --fields=name; ls store/tmp
            d2a fetch --json $F $u 2>events | jq -c '[.name, .size > 4000000, .image == "'$u'"]'; jq -c 'select(.event != "received") | [.event, .layers, .downloaded, .layer == "'$u'"]' events
            d2a fetch --progress=lines $F --pull-policy=update $u | cut -c1-7; tree; echo 2 >rootfs/a; aci b.aci example.com/a; d2a fetch b.aci >/dev/null
            (d2a image rm none sha512-00 example.com/a sha512-ff; echo $?) 2>log | sed 's/"sha512.*/ID/'; cat log; d2a image list --no-legend
            d2a run --pull-policy=never appc:example.com/none; d2a run --pull-policy=never $u
            """)
        #expect(
            outcome.output == """
                sha512-
                sha512-
                sha512-
                example.com/a
                ["example.com/a",true,true]
                ["found",1,null,false]
                ["started",null,null,true]
                ["finished",null,true,true]
                sha512-
                successfully removed aci for image: ID
                successfully removed aci for image: ID
                0
                d2a: no image none in the store
                d2a: see what is there with d2a image list, or fetch it with d2a fetch
                d2a: no image sha512-00 in the store
                d2a: see what is there with d2a image list, or fetch it with d2a fetch
                d2a: no image sha512-ff in the store
                d2a: see what is there with d2a image list, or fetch it with d2a fetch
                rm: 2 image(s) successfully removed
                d2a: no image example.com/none in the store
                d2a: see what is there with d2a image list, or fetch it with d2a fetch
                d2a: no image https://\(server.address)/a.aci in the store
                d2a: see what is there with d2a image list, or fetch it with d2a fetch

                """, "\(outcome)")
    }

    /// More images than a descriptor's number that anything could be sure of.
    @Test func aLongChain() throws {
        let place = try Place()
        let outcome = try place.shell(
            FetchTests.functions + """
                for n in $(seq 0 80); do
                    tree; echo $n >rootfs/$n; echo $n >rootfs/top
                    aci $n.aci example.com/$n $([ $n = 0 ] || echo ',"dependencies":[{"imageName":"example.com/'$((n - 1))'"}]')
                done
                d2a fetch $(seq -f %g.aci 0 80) >/dev/null; d2a image render --rootfs-only example.com/80 out; ls out | wc -l; cat out/top out/0 out/75
                d2a image verify example.com/80 | cut -d' ' -f1
                """)
        #expect(outcome.output == "82\n80\n0\n75\nsuccessfully\n" && outcome.errors == "", "\(outcome)")
    }
}
