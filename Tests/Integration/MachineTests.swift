import Foundation
import Testing

#if arch(x86_64)
    /// Debian's kernel; nil where it can't be had.
    private let kernel: String? = {
        guard Lab.runsPods, Lab.has("qemu-system-x86_64"), let outcome = try? Lab.run("\(Lab.package)/scripts/kernel", []), outcome.status == 0 else {
            return nil
        }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }()

    /// Pods on machines of another making than this one: those with version 2 of control groups alone, and those with both. They are emulated.
    /// One after another: each takes a processor.
    @Suite(.serialized, .enabled(if: kernel != nil, "needs root, skopeo, umoci, busybox, qemu and Debian's packages (make setup)"))
    struct MachineTests {
        private func run(_ groups: String, words: String = "", _ script: (_ id: String) throws -> String) throws -> Outcome {
            let place = try Place()
            let id = try place.fetchBusybox()
            // The tree is rendered here: there is no helper there.
            let rendered = try place.run("d2a", "run", "--rm", id, "--", "true")
            try #require(rendered.status == 0, "\(rendered)")
            return try machine(place.store, groups, script(id), words)
        }

        private func machine(_ store: String, _ groups: String, _ more: String...) throws -> Outcome {
            try Lab.run("\(Lab.package)/Tests/Fixtures/machine", [try #require(kernel), Lab.programs, store, groups] + more)
        }

        /// Starts a pod with limits, looks at what is written for it by `look` in its app's groups, ends it, and looks at what is left.
        private func limited(_ id: String, _ look: String) -> String {
            """
            v=--volume=volume-data,kind=empty
            d2a run $v --uuid-file-save=/uuid \(id) --memory=24Mi --cpu=15m --cpu-shares=512 -- sh -c 'cat /proc/self/cgroup; echo up; exec sleep 1000' >/up & pod=$!
            while ! grep -qs up /up; do sleep 0.1; done; grep -v up /up; group=d2a-$(cat /uuid)/app-busybox
            \(look)
            d2a stop --force $(cat /uuid) >/dev/null; wait $pod
            d2a run --rm $v \(id) --memory=24Mi -- sh -c 'head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 3' 2>&1; echo $?
            d2a run --rm $v \(id) -- sh -c 'cat /proc/self/cgroup; mknod /loop b 7 0; head -c1 /loop 2>&1; head -c3 /dev/zero | wc -c'
            d2a gc --grace-period=0s >/dev/null; find /sys/fs/cgroup -name 'd2a-*'; ls /var/lib/d2a/pods/run
            """
        }

        /// Two mounts of what the kernel's own server exports are two machines to it. Nothing but tar archives comes from this machine.
        @Test func networkFileSystem() throws {
            let place = try Place()
            for number in 1...3 { try place.shell("mkdir -p from; mv \(place.archive("seq \(number)0000 >f; mkdir d; ln f d/g")) from/\(number).docker") }
            try place.shell("cp \(Lab.busybox) from/busybox.docker")
            let list = (1...3).map { #"{"reference":"/var/lib/d2a/\#($0).docker","output":"\#($0).aci"}"# + "\n" }.joined()
            try list.write(toFile: place.path + "/from/list", atomically: true, encoding: .utf8)
            let script = """
                for module in sunrpc grace lockd nfs_acl auth_rpcgss netfs fscache dns_resolver nfs nfsv4 nfsd; do insmod /modules/$module.ko; done
                mkdir /export /a /b; mount -t nfsd nfsd /proc/fs/nfsd; cd /proc/net/rpc
                # What exportfs and mountd would say: insecure, async, no_subtree_check, fsid=0, for ever.
                echo "nfsd 127.0.0.1 2147483647 here" >auth.unix.ip/channel; echo "here /export 2147483647 9234 65534 65534 0" >nfsd.export/channel
                echo 'here 1 \\x00000000 2147483647 /export' >nfsd.fh/channel; cd /proc/fs/nfsd; echo -3 >versions; echo 10 >nfsv4gracetime; echo 4 >threads
                for d in a b; do mount -t nfs4 -o vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,nosharecache 127.0.0.1:/ /$d || echo no mount; done
                export D2A_DIR=/a/store D2A_CACHE=/a/cache; cd /; exec 2>&1
                all() { for f in /alone/*.aci; do cmp $f $1/${f##*/} || echo differs; done; echo $(ls $1); }
                task() { d2a batch run-task 0 /var/lib/d2a/list --chunk=3 --quiet -o $1; }
                d2a batch /var/lib/d2a/list -o /alone --quiet; echo $?
                D2A_CACHE=/b/cache task /b/out & task /a/out; echo $?; wait $!; echo $?; all /b/out
                d2a batch collect /b/out | head -1
                task /a/killed & sleep 0.7; kill -9 $! 2>/dev/null; wait $!; task /b/killed; echo $?; all /a/killed
                id=$(d2a fetch /var/lib/d2a/busybox.docker); D2A_DIR=/b/store d2a image list --no-legend --fields=name
                d2a image export $id /a/image.aci; sha512sum /b/image.aci | cut -c1-32; echo $id | cut -c8-39
                d2a run --rm --volume volume-data,kind=empty $id -- sh -c 'echo in the pod >/file; cat /file; exit 7'; echo $?
                d2a run --uuid-file-save=/uuid --volume volume-data,kind=empty $id -- sh -c 'echo left >/file'; D2A_DIR=/b/store d2a export $(cat /uuid) /a/pod.aci
                tar xzOf /b/pod.aci rootfs/file; D2A_DIR=/b/store d2a rm $(cat /uuid) >/dev/null; d2a list --no-legend
                d2a diff /a/image.aci /var/lib/d2a/busybox.docker -o /b/diff.json; grep -c same /a/diff.json
                d2a gc --grace-period=0s; d2a image rm $id >/dev/null; D2A_DIR=/b/store d2a image gc --grace-period=0s
                ls /export; find /export -name '.new*' -o -name '.tmp*' -o -name '.nfs*'; ls /export/store/cas/tree /export/store/pods/run
                """
            let outcome = try machine(place.path + "/from", "v2", script, "", "d2a-image")
            let id = outcome.output.split(separator: "\n").first { $0.count == 32 } ?? "no hash"
            #expect(
                outcome.output == """
                    0
                    0
                    0
                    1.aci 2.aci 3.aci
                    3 images: 3 converted, 0 unchanged, 0 failed, 0 unfinished
                    0
                    1.aci 2.aci 3.aci
                    registry-1.docker.io/library/busybox:latest
                    \(id)
                    \(id)
                    in the pod
                    7
                    left
                    1
                    rm: 1 image(s) successfully removed
                    cache      diff.json  image.aci  killed     out        pod.aci    store
                    /export/store/cas/tree:

                    /export/store/pods/run:

                    """, "\(outcome)")
        }

        @Test func versionTwo() throws {
            let outcome = try run("v2") { limited($0, "cd /sys/fs/cgroup/$group; cat memory.max cpu.max cpu.weight; wc -l <cgroup.procs") }
            #expect(
                outcome.output == """
                    0::/
                    25165824
                    1500 100000
                    20
                    1
                    0
                    Killed
                    3
                    0::/
                    head: /loop: Permission denied
                    3

                    """, "\(outcome)")
        }

        @Test func bothVersions() throws {
            let outcome = try run("hybrid") {
                limited(
                    $0, "cd /sys/fs/cgroup; cat memory/$group/memory.limit_in_bytes cpu/$group/cpu.*quota_us cpu/$group/*shares; ls unified | grep d2a")
            }
            #expect(
                outcome.output == """
                    3:devices:/
                    2:memory:/
                    1:cpu:/
                    0::/
                    25165824
                    1500
                    512
                    0
                    Killed
                    3
                    3:devices:/
                    2:memory:/
                    1:cpu:/
                    0::/
                    head: /loop: Permission denied
                    3

                    """, "\(outcome)")
        }

        /// A line that runs a pod of one app with isolators, where `/pod.json` is for it alone.
        private func isolated(_ id: String, _ isolators: [[String: Any]], _ command: String) throws -> String {
            let app: [String: Any] = ["exec": ["/bin/sh", "-c", command], "user": "0", "group": "0", "isolators": isolators]
            let pod: [String: Any] = ["acVersion": "0.8.11", "acKind": "PodManifest", "apps": [["name": "a", "image": ["id": id], "app": app]]]
            let text = String(decoding: try JSONSerialization.data(withJSONObject: pod), as: UTF8.self)
            return "cat >/pod.json <<'END'\n\(text)\nEND\nd2a run --rm --pod-manifest=/pod.json 2>&1"
        }

        /// What a program makes of a policy among the fixtures, as a word of a script.
        private func compiled(_ program: String, _ arguments: [String]) throws -> String {
            let place = try Place()
            let outcome = try Lab.run("sh", ["-c", "cd '\(place.path)' && \(([program] + arguments).joined(separator: " ")) >policy && base64 -w0 policy"])
            try #require(outcome.status == 0 && !outcome.output.isEmpty, "\(outcome)")
            return outcome.output
        }

        @Test func blockDevices() throws {
            let limits: [[String: Any]] = [
                ["name": "resource/block-bandwidth", "value": ["default": true, "limit": "4M"]],
                ["name": "resource/block-iops", "value": ["default": true, "limit": "100"]],
            ]
            let outcome = try run("v2") { id in
                """
                insmod /modules/loop.ko max_loop=2
                \(try isolated(id, limits, "echo up; exec sleep 1000")) >/up & pod=$!
                while ! grep -qs up /up; do sleep 0.1; done; cat /sys/fs/cgroup/d2a-*/app-a/io.max | sort
                d2a stop --force $(d2a list --no-legend | cut -c1-8) >/dev/null; wait $pod
                """
            }
            let limit = "rbps=4000000 wbps=4000000 riops=100 wiops=100"
            #expect(outcome.output == "7:0 \(limit)\n7:1 \(limit)\n", "\(outcome)")
        }

        @Test(.enabled(if: Lab.has("apparmor_parser"), "needs apparmor (make setup)")) func appArmor() throws {
            let abi = "/etc/apparmor.d/abi/3.0"
            let policy = try compiled(
                "apparmor_parser",
                [
                    "--skip-kernel-load", "--skip-cache", "--stdout", "--policy-features=\(abi)", "--kernel-features=\(abi)",
                    "\(Lab.package)/Tests/Fixtures/confined.apparmor",
                ])
            func profile(_ name: String) -> [[String: Any]] { [["name": "os/linux/apparmor-profile", "value": ["profile": name]]] }
            let look = "cat /proc/self/attr/current; echo secret >/tmp/secret; cat /tmp/secret"
            let outcome = try run("v2") { id in
                """
                mount -t securityfs s /sys/kernel/security; echo \(policy) | base64 -d >/policy; cat /policy >/sys/kernel/security/apparmor/.load
                \(try isolated(id, profile("confined"), look)); echo $?
                \(try isolated(id, [], look)); echo $?
                \(try isolated(id, profile("missing"), look)); echo $?
                """
            }
            let lines = outcome.output.split(separator: "\n").filter { !$0.contains("mount point") }
            #expect(
                lines == [
                    "confined (enforce)", "cat: can't open '/tmp/secret': Permission denied", "1", "unconfined", "secret", "0",
                    "d2a: the security module refuses the app's label (exec missing): No such file or directory", "254",
                ], "\(outcome)")
        }

        @Test(.enabled(if: Lab.has("secilc"), "needs secilc (make setup)")) func selinux() throws {
            let policy = try compiled("secilc", ["-c", "31", "-o", "/dev/stdout", "-f", "/dev/null", "\(Lab.package)/Tests/Fixtures/confined.cil"])
            func context(_ type: String) -> [[String: Any]] {
                [["name": "os/linux/selinux-context", "value": ["user": "u", "role": "r", "type": type, "level": "s0"]]]
            }
            let look = "tr -d '\\0' </proc/self/attr/current; echo"
            let outcome = try run("v2", words: "security=selinux") { id in
                """
                mount -t selinuxfs s /sys/fs/selinux
                \(try isolated(id, context("confined_t"), look)); echo $?
                echo \(policy) | base64 -d >/policy; cat /policy >/sys/fs/selinux/load
                \(try isolated(id, context("confined_t"), look)); echo $?
                \(try isolated(id, [], look)); echo $?
                \(try isolated(id, context("missing_t"), look)); echo $?
                """
            }
            let lines = outcome.output.split(separator: "\n").filter { !$0.contains("mount point") && !$0.hasPrefix("[") }
            #expect(
                lines == [
                    "d2a: warning: the isolator os/linux/selinux-context of the app a, on a kernel without it is not enforced", "kernel", "0",
                    "u:r:confined_t:s0", "0", "u:r:kernel_t:s0", "0",
                    "d2a: the security module refuses the app's label (u:r:missing_t:s0): Invalid argument", "254",
                ], "\(outcome)")
        }
    }
#endif
