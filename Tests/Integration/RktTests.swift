import Foundation
import Testing

private let ready = Lab.isRoot && ["busybox", "umoci", "skopeo", "unshare", "gpg", "jq"].allSatisfy { Lab.has($0) }

/// The program by the name `rkt`: words and output that rkt's users know.
@Suite(.enabled(if: ready, "needs root, busybox, umoci, skopeo, unshare, gpg and jq (make setup)"))
struct RktTests {
    /// Runs a script where `rkt` is on PATH, and whatever lies in /var/lib, /etc/rkt and /etc/d2a is the test's.
    private func shell(_ script: String) throws -> Outcome {
        let place = try Place()
        let inside = """
            set -e
            mkdir lib rkt etc empty; mount --bind lib /var/lib; mkdir -p /etc/rkt /etc/d2a; mount --bind etc /etc/rkt; mount --bind empty /etc/d2a
            ln -s $(command -v d2a) rkt/rkt; export PATH=$PWD/rkt:$PATH; unset D2A_DIR

            """
        try (inside + script).write(toFile: place.path + "/inside", atomically: true, encoding: .utf8)
        let outcome = try place.shell("exec unshare --mount --propagation private bash inside")
        try #require(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
        return outcome
    }

    @Test func aSession() throws {
        let outcome = try shell(
            """
            id=$(rkt --debug --insecure-options=image fetch $BUSYBOX); echo ${#id}; full=$(rkt fetch $BUSYBOX --full=true); echo ${#full}
            [ ${full:0:39} = $id ]; find /var/lib/rkt/cas/blob/sha512 -type f -name "$id*" | wc -l; find /var/lib/rkt/cas/blob/sha256 -type f -name "$(rkt fetch --hash=sha256 $BUSYBOX)" | wc -l
            rkt im li --no-legend=true --fields=name; rkt image list --no-legend=false --fields=name | head -1
            rkt image cat-manifest --pretty-print=false $id | wc -l; rkt image cat-manifest --pretty-print $id | wc -l
            rkt run --net --help | head -1; rkt --dir=/var/lib/other list --no-legend; rkt list --dir /var/lib/other --full | cut -f1; ls /var/lib
            rkt run --stage1-name=coreos.com/rkt/stage1-coreos:1.30.0 --net=none --uuid-file-save=uuid $id --exec sh --debug -- -c 'echo "$@"; exit 3' sh --dir=/x --debug || echo $?
            rkt list --no-legend | cut -f1 | tr '\\n' ' ' | wc -c; rkt stat --wait=true $(cat uuid) | grep ^app
            rkt cat-manifest $(cat uuid) | jq -r '.apps[0].app.exec[1]'
            rkt gc --mark-only=false --grace-period=0s | sed "s/$(cat uuid)/UUID/"; rkt list --no-legend
            uuid=$(rkt prepare --store-only $id -- true); rkt run-prepared --net $uuid >/dev/null 2>&1 && echo ran; rkt rm $uuid | wc -c
            rkt image rm $id | cut -c1-15; rkt image list --format=json; rkt version | sed 's/:.*//'
            """)
        #expect(
            outcome.output
                == """
                39
                71
                1
                1
                registry-1.docker.io/library/busybox:latest
                NAME
                1
                \(outcome.output.split(separator: "\n").dropFirst(7).first ?? "")
                OVERVIEW: Run images in a pod of their own.
                UUID
                other
                rkt
                --dir=/x --debug
                3
                9
                app-busybox=3
                -c
                Garbage collecting pod "UUID"
                ran
                39
                successfully re
                null
                rkt Version
                appc Version

                """, "\(outcome)")
    }

    @Test func theMachinesConfigurationIsRkts() throws {
        let outcome = try shell(
            """
            mkdir -p home etc/paths.d other/auth.d; export HOME=$PWD/home GNUPGHOME=$PWD/home
            echo '{"rktKind":"paths","rktVersion":"v1","data":"/var/lib/elsewhere"}' >etc/paths.d/paths.json
            rkt list --no-legend; d2a list --no-legend; ls /var/lib
            echo '{"rktKind":"auth","rktVersion":"v1","domains":["a.example"],"type":"basic","credentials":{"user":"u","password":"p"}}' >other/auth.d/a.json
            rkt config | jq -c '.stage0[].data'; rkt --local-config=other config --pretty-print | jq -c '.stage0[0].domains'
            gpg --batch -q --passphrase '' --quick-generate-key 'Maker <maker@example.com>' ed25519 sign never 2>/dev/null; gpg --armor --export >key.gpg
            rkt trust --prefix=example.com/app --skip-fingerprint-review=true key.gpg >/dev/null 2>&1; rkt trust --root --skip-fingerprint-review --local-config other key.gpg >/dev/null 2>&1
            find etc other -type f | sed -E 's/[0-9a-f]{40}/KEY/' | sort; gpgconf --kill all
            """)
        #expect(
            outcome.output
                == """
                d2a
                elsewhere
                "/var/lib/elsewhere"
                ["a.example"]
                etc/paths.d/paths.json
                etc/trustedkeys/prefix.d/example.com/app/KEY
                other/auth.d/a.json
                other/trustedkeys/root.d/KEY

                """, "\(outcome)")
    }

    @Test func whatMakesNoSense() throws {
        let outcome = try shell(
            """
            try() { local status=0; rkt "$@" >out 2>err </dev/null || status=$?; echo "$status: $(head -1 err) ($(head -1 out))"; }
            try; try nosuch; try i li; try image nosuch; try --insecure-options=nonsense fetch x; try run --stage1-path=/x/stage1-kvm.aci x; try fetch
            try fetch ./nosuch.aci; try --help
            """)
        #expect(
            outcome.output
                == """
                2: rkt: missing command (OVERVIEW: Fetch Docker and appc images and run them, without a daemon.)
                254: Error: unknown command "nosuch" for "rkt" ()
                0:  (ID\tNAME\tSIZE\tIMPORT TIME\tLAST USED)
                254: Error: unknown command "nosuch" for "rkt image" ()
                254: Error: --insecure-options or $D2A_INSECURE_OPTIONS: "nonsense" is not none, image, tls, http, pubkey, ondisk, capabilities, paths, seccomp, all-fetch, all-run, all ()
                254: rkt: --stage1-path=/x/stage1-kvm.aci names no stage1 that can stand for rkt's ()
                254: Error: Missing expected argument '<image> ...' ()
                254: fetch: can't open ./nosuch.aci: No such file or directory ()
                0:  (OVERVIEW: Fetch Docker and appc images and run them, without a daemon.)

                """, "\(outcome)")
    }
}
