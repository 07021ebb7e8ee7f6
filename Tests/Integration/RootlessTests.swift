import Foundation
import Testing

private let ready =
    Lab.runsPods && Lab.has("setpriv") && Lab.has("newuidmap") && Lab.has("useradd")

/// Pods of a user who is nobody special: a real one, made for the test, with subordinate users or without.
@Suite(.serialized, .enabled(if: ready, "needs root, skopeo, umoci, busybox, setpriv, newuidmap and useradd (make setup)"))
final class RootlessTests {
    private let place: Place
    private let name = "d2a-\(getpid())-\(UInt16.random(in: 0...UInt16.max))"

    init() throws {
        place = try Place()
        // Programs, an image and a home that this user can reach.
        let made = try place.shell(
            """
            useradd -M \(name) && chmod 755 . && mkdir bin home && cp \(Lab.programs)/{d2a,d2a-image,d2a-stage1,d2a-metadata} bin && cp \(Lab.busybox) . &&
                chmod 644 busybox.docker && chown \(name) home
            """)
        try #require(made.status == 0, "\(made.errors)")
    }

    // Its metadata service may still be there for a moment, which userdel would mind.
    deinit { _ = try? Lab.run("userdel", ["-f", name]) }

    private func shell(_ line: String) throws -> Outcome {
        try place.shell(
            """
            cd home && setpriv --reuid=\(name) --regid=\(name) --clear-groups env -i HOME=$PWD XDG_RUNTIME_DIR=$PWD PATH=\(place.path)/bin:/usr/bin:/bin \
            bash -c '\(line)'
            """)
    }

    private func expectNothingLeft() throws {
        for phase in ["prepare", "run", "exited-garbage"] { #expect(place.names("home/.local/share/d2a/pods/\(phase)") == []) }
        #expect(try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).contains(place.path) == false)
    }

    @Test func withSubordinateUsers() throws {
        let outcome = try shell(
            #"d2a run --rm --net=none ../busybox.docker --user=app -- sh -c "id; touch /tmp/x; stat -c %u /tmp/x; wc -l </proc/self/uid_map; grep CapPrm /proc/self/status; exit 7""#
        )
        #expect(outcome.status == 7, "\(outcome)")
        #expect(outcome.output == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n1000\n2\nCapPrm:\t0000000000000000\n")
        // Its root is nobody outside, with a host's file as with its own.
        let host = place.path + "/home/file"
        let root = try shell(
            #"echo secret >file; d2a run --rm --volume=v,kind=host,source=$PWD ../busybox.docker --mount=volume=v,target=/v -- sh -c "cat /v/file; echo new >/v/made; grep CapBnd /proc/self/status""#
        )
        #expect(root.output == "secret\nCapBnd:\t00000000a80425fb\n", "\(root)")
        #expect(try Lab.run("stat", ["-c", "%U", host, place.path + "/home/made"]).output == "\(name)\n\(name)\n")
        try expectNothingLeft()
    }

    @Test func aloneWhereThereAreNone() throws {
        try place.shell("sed -i '/^\(name):/d' /etc/subuid /etc/subgid")
        let outcome = try shell(
            #"d2a run --rm ../busybox.docker -- sh -c "id -u; rm /bin/vi && echo written; cat /proc/self/uid_map; ls /dev/null /dev/pts/ptmx; exit 5""#)
        #expect(outcome.status == 5 && outcome.output.hasPrefix("0\nwritten\n"), "\(outcome)")
        #expect(outcome.output.split(separator: "\n").count == 5)
        // A user that isn't there can't be had, and that is said.
        let other = try shell("d2a run --rm ../busybox.docker --user=app -- true")
        #expect(other.status == 254 && other.errors.contains("/etc/subuid"), "\(other)")
        try expectNothingLeft()
    }

    @Test func exportsAreTheSameForEverybody() throws {
        let outcome = try shell(
            #"""
            d2a run --uuid-file-save=uuid ../busybox.docker -- sh -c "echo new >/made; chown 5:6 /made; rm /etc/group"
            d2a export $(cat uuid) out.aci && d2a rm --uuid-file=uuid >/dev/null && tar -tvf out.aci | grep -E "rootfs/(made|etc/group)" | tr -s " " | cut -d" " -f1-3,6
            d2a run --rm --insecure-options=image out.aci -- cat /made
            """#)
        #expect(outcome.output == "-rw-r--r-- 5/6 4 rootfs/made\nnew\n", "\(outcome)")
        try expectNothingLeft()
    }

    @Test func theVerbsToo() throws {
        let outcome = try shell(
            #"""
            d2a run --uuid-file-save=uuid --mds-register ../busybox.docker -- sh -c "trap \"exit 9\" TERM; echo up; while :; do sleep 0.1; done" >up & pod=$!
            while ! [ -s up ]; do sleep 0.05; done; uuid=$(cat uuid)
            d2a enter $uuid -- sh -c "id -u; wget -qO- \$AC_METADATA_URL/acMetadata/v1/pod/uuid; echo; grep CapBnd /proc/self/status"
            d2a list --full --no-legend | cut -f1; d2a stop $uuid; wait $pod; echo $?; d2a rm $uuid
            """#)
        let uuid = try String(contentsOfFile: place.path + "/home/uuid", encoding: .utf8)
        #expect(outcome.output == "0\n\(uuid)\nCapBnd:\t00000000a80425fb\n\(uuid)\n\"\(uuid)\"\n9\n\"\(uuid)\"\n", "\(outcome)")
        try expectNothingLeft()
    }
}
