import Foundation
import Testing

private let ready = Lab.runsPods

/// Pods of root's with users of their own (`--private-users`), seen from inside and from outside.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci and busybox (make setup)"))
struct PrivateUsersTests {
    private let place: Place
    private let id: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
    }

    private func lines(_ text: String) -> [String] { text.split(separator: "\n").map(String.init) }

    @Test(arguments: ["--no-overlay", "--no-overlay=false"]) func itsRootIsNobodyOutside(_ overlay: String) throws {
        let outcome = try place.shell(
            """
            mkdir host; echo secret >host/secret; chmod 600 host/secret; echo open >host/open; chmod 777 host
            touch out; d2a run --uuid-file-save=uuid --private-users --net=none \(overlay) --volume=h,kind=host,source=$PWD/host --volume=e,kind=empty,uid=5,gid=6 \
                \(id) --mount=volume=h,target=/h --mount=volume=e,target=/e -- sh -c '
                id -u; cut -c1-10 /proc/self/uid_map | tr -d " "; stat -c "%u:%g %n" / /bin/busybox /e /data /dev/null; cat /h/open; cat /h/secret 2>/dev/null || echo no
                touch /own; chown 1000:7 /own; stat -c %u:%g /own; touch /e/f /h/f; su app -c "touch /tmp/theirs"; stat -c %u /tmp/theirs
                chroot / true && echo rooted; mount -t tmpfs x /mnt 2>/dev/null || echo unmounted; (nc -l -p 80 & sleep 0.2; kill $! && echo listened); grep CapBnd /proc/self/status
                echo up >/e/up; while [ -e /h/open ]; do sleep 0.1; done' >out & pod=$!
            while ! grep -q CapBnd out; do sleep 0.05; done; uuid=$(cat uuid); first=$(cat store/pods/run/$uuid/users); process=$(cat store/pods/run/$uuid/apps/busybox/pid)
            echo $((first % 65536)) $(awk "/^[UG]id/ {print \\$2 - $first}" /proc/$process/status); cat /proc/$process/uid_map | tr -s ' '
            [ $(stat -c %u host/f) = $first ] && echo as-is
            d2a enter $uuid -- sh -c 'id -u; readlink /proc/self/ns/user; grep CapBnd /proc/self/status'; readlink /proc/$process/ns/user
            stat -c %u:%g store/pods/run/$uuid/volumes/e store/pods/run/$uuid/volumes/e/f; rm host/open; wait $pod; echo $?
            d2a export $uuid out.aci; tar -tvf out.aci | grep rootfs/own | tr -s ' ' | cut -d' ' -f2; d2a rm $uuid >/dev/null
            """)
        #expect(
            lines((try? String(contentsOfFile: place.path + "/out", encoding: .utf8)) ?? "") == [
                "0", "0", "0:0 /", "0:0 /bin/busybox", "5:6 /e", "0:0 /data", "0:0 /dev/null", "open", "no", "1000:7", "1000", "rooted", "unmounted",
                "listened",
                "CapBnd:\t00000000a80425fb",
            ], "\(outcome)")
        let seen = lines(outcome.output)
        try #require(seen.count == 11, "\(outcome)")
        #expect(seen[0] == "0 0 0" && seen[1].hasPrefix(" 0 ") && seen[1].hasSuffix(" 65536") && seen[2] == "as-is", "\(seen)")
        #expect(seen[3] == "0" && seen[4].hasPrefix("user:") && seen[4] == seen[6] && seen[5] == "CapBnd:\t00000000a80425fb", "\(seen)")
        #expect(seen[7...] == ["5:6", "0:0", "0", "1000/7"], "\(seen)")
        try place.expectNothingLeft()
    }

    /// On file systems whose mounts can't show other owners, such as an overlay: its files are the pod's users' on disk.
    @Test(arguments: ["run", "prepare"]) func withoutShiftedMounts(_ command: String) throws {
        let image = try place.archive(
            """
            mkdir -p bin etc data dir; cp $(command -v busybox) bin/busybox; for p in sh stat id touch chown cat; do ln -s busybox bin/$p; done; cp bin/busybox bin/su
            chown 1000:7 dir bin/su; chmod 6755 bin/su; ln bin/su bin/again; cp bin/busybox bin/capable; setcap cap_kill+ep bin/capable; echo app:x:1000:7::/: >etc/passwd
            """, config: #"{"Cmd":["/bin/sh"],"Volumes":{"/data":{}}}"#)
        let run =
            command == "run"
            ? "d2a run --private-users --uuid-file-save=uuid" : "uuid=$(d2a prepare --private-users $words); echo -n $uuid >uuid; words=$uuid; d2a run-prepared"
        let outcome = try place.shell(
            """
            mkdir low up work over && mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work over || exit 9; export D2A_DIR=$PWD/over/store
            mkdir -p $D2A_DIR; id=$(d2a fetch \(image)); words="--volume=e,kind=empty,uid=5,gid=6 $id --mount=volume=e,target=/e --user=0 --exec=/bin/sh -- /e/../script"
            words="--volume=s,kind=host,source=$PWD/script $words"; words=${words/--user/--mount=volume=s,target=/script --user}
            cat >script <<'END'
            id -u; stat -c '%u:%g %a %n' / /dir /bin/su /bin/again /e /data /dev/null; touch /own; chown 1000:7 /own; stat -c %u:%g /own
            read a b c </proc/self/uid_map; [ $b -gt 500000 ] && echo shifted; touch /data/mine /e/mine && echo writable
            END
            chmod 755 script; \(run) $words; echo $?; uuid=$(cat uuid); first=$(cat $D2A_DIR/pods/run/$uuid/users)
            [ $(stat -c %u $D2A_DIR/pods/run/$uuid/apps/made/rootfs/own) = $((first + 1000)) ] && echo theirs
            getcap -n $D2A_DIR/pods/run/$uuid/apps/made/rootfs/bin/capable | grep -c "cap_kill=ep \\[rootid=$first\\]"
            d2a export $uuid out.aci && tar -tvf out.aci | grep -E '^[^h].*rootfs/(own|dir/|bin/again)$' | tr -s ' ' | cut -d' ' -f1,2,6; tar --xattrs --xattrs-include='*' -xf out.aci rootfs/bin/capable
            getcap -n rootfs/bin/capable; rm -rf rootfs; d2a rm $uuid >/dev/null
            unset D2A_DIR; umount over; rm -rf low up work over
            """)
        #expect(
            lines(outcome.output) == [
                "0", "0:0 755 /", "1000:7 755 /dir", "1000:7 6755 /bin/su", "1000:7 6755 /bin/again", "5:6 755 /e", "0:0 755 /data", "0:0 666 /dev/null",
                "1000:7",
                "shifted", "writable", "0", "theirs", "1", "-rwsr-sr-x 1000/7 rootfs/bin/again", "drwxr-xr-x 1000/7 rootfs/dir/",
                "-rw-r--r-- 1000/7 rootfs/own",
                "rootfs/bin/capable cap_kill=ep",
            ], "\(outcome)")
    }

    @Test func preparedToo() throws {
        let outcome = try place.shell(
            """
            uuid=$(d2a prepare --private-users \(id) -- sh -c 'read a b c </proc/self/uid_map; echo $b') 2>/dev/null; cat store/pods/prepared/$uuid/users
            d2a run-prepared $uuid; d2a rm $uuid >/dev/null; uuid=$(d2a prepare --private-users \(id)) 2>/dev/null; d2a run-prepared --stage1=runc $uuid; echo $?; d2a rm $uuid
            """)
        let seen = lines(outcome.output)
        #expect(seen.count == 4 && seen[0] == seen[1] && (Int(seen[0]) ?? 0) >= 0x80000 && seen[2] == "2", "\(outcome)")
        try place.expectNothingLeft()
    }

    @Test func eachPodHasItsOwn() throws {
        let line = "d2a run --rm --private-users \(id) -- awk '{print $2}' /proc/self/uid_map"
        let outcome = try place.shell("for i in 1 2 3 4; do \(line) & done; wait")
        #expect(Set(lines(outcome.output)).count == 4 && outcome.errors.contains("warning"), "\(outcome)")
        let refused = try place.run("d2a", "run", "--rm", "--private-users", "--stage1=chroot", id, "--", "true")
        #expect(refused.status == 2 && refused.errors.contains("built-in stage1"), "\(refused)")
        try place.expectNothingLeft()
    }

    @Test func handlersAndSeveralAppsToo() throws {
        let manifest = """
            {"acKind":"PodManifest","acVersion":"0.8.11","apps":[{"name":"main","image":{"id":"\(id)"},"app":{"exec":["/bin/sh","-c",
            "echo main $(id -u); echo shared >/dev/shm/x; sleep 0.5"],"user":"app","group":"app","eventHandlers":[{"name":"pre-start","exec":["sh","-c",
            "echo pre $(id -u)"]},{"name":"post-stop","exec":["sh","-c","echo post $(id -u)"]}]}},
            {"name":"side","image":{"id":"\(id)"},"app":{"exec":["/bin/sh","-c","while ! [ -s /dev/shm/x ]; do sleep 0.05; done; stat -c %u /dev/shm/x"],
            "user":"0","group":"0"}}]}
            """
        try manifest.write(toFile: place.path + "/pod.json", atomically: true, encoding: .utf8)
        let outcome = try place.run("d2a", "run", "--rm", "--private-users", "--pod-manifest=pod.json")
        #expect(outcome.status == 0 && lines(outcome.output) == ["pre 0", "main 1000", "1000", "post 0"], "\(outcome)")
        try place.expectNothingLeft()
    }
}
