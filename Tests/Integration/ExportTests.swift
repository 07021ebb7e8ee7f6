import Foundation
import Testing

private let ready = Lab.runsPods

/// Roots of apps that have ended, as images.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct ExportTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    /// Changes of all kinds: new, changed, removed, replaced, linked.
    private static let changes = """
        echo new >/made; chown 5:6 /made; chmod 4755 /made; ln /made /hard; ln -s made /soft; mknod /device c 1 3; mkfifo /pipe; rm /etc/group; rm -r /root; \
        mkdir /root; echo app:x:7:8::/:/bin/sh >/etc/passwd; echo x >"/$(printf 'odd\\377')"; touch -d @1000000000 /made; echo kept >/data/volume
        """

    @Test(arguments: ["--no-overlay", "--no-overlay=false"]) func whatAnAppWroteIsInIt(_ overlay: String) throws {
        let run = try place.run("d2a", "run", "--uuid-file-save=uuid", overlay, id, "--", "sh", "-c", Self.changes)
        try #require(run.status == 0, "\(run)")
        let outcome = try place.shell(
            """
            set -e
            d2a export $(cat uuid) one.aci; d2a export --compression=none $(cat uuid) two.aci
            gzip -dc one.aci | cmp - two.aci
            d2a image validate one.aci
            mkdir tree; tar -C tree -xpf two.aci; cd tree/rootfs
            stat -c '%n %a %u:%g %h %Y' made; [ made -ef hard ]; readlink soft; stat -c '%n %F %t:%T' device; stat -c %F pipe
            cat "$(printf 'odd\\377')"; cat etc/passwd; ! [ -e etc/group ]; ls -A root data | wc -l; [ -x bin/sh ]
            cd ../..; d2a run --rm $(d2a fetch --insecure-options=image one.aci) --user=app -- sh -c 'id -u; ls /etc/group; cat /hard' 2>err || grep -c group err
            """)
        #expect(
            outcome.output == """
                one.aci: valid app container image
                made 4755 5:6 2 1000000000
                made
                device character special file 1:3
                fifo
                x
                app:x:7:8::/:/bin/sh
                3
                7
                new

                """ && outcome.status == 0, "\(outcome)")
        // The pod is as it was.
        #expect(try place.run("d2a", "rm", "--uuid-file=uuid").status == 0)
        try place.expectNothingLeft()
    }

    @Test func whatCannotBeExported() throws {
        let outcome = try place.shell(
            """
            d2a run --uuid-file-save=uuid \(id) --name=a -- sh -c 'echo up; sleep 100' --- \(id) --name=b -- sleep 100 >up & pod=$!
            while ! [ -s up ]; do sleep 0.05; done; uuid=$(cat uuid)
            d2a export --app=a $uuid out.aci; echo $?
            d2a stop --force $uuid >/dev/null; wait $pod
            d2a export $uuid out.aci; echo $?; d2a export --app=b $uuid out.aci && d2a export --app=b $uuid out.aci; echo $?
            d2a export --overwrite --app=b $uuid out.aci; echo $?; d2a rm $uuid >/dev/null; ls *.aci
            """)
        #expect(outcome.output == "254\n254\n254\n0\nout.aci\n", "\(outcome)")
        let errors = outcome.errors
        #expect(errors.contains("has not ended") && errors.contains("several apps: a, b") && errors.contains("out.aci exists"), "\(errors)")
        try place.expectNothingLeft()
    }
}
