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
    @Suite(.enabled(if: kernel != nil, "needs root, skopeo, umoci, busybox, qemu and Debian's packages (make setup)"))
    struct MachineTests {
        private func run(_ groups: String, _ script: (_ id: String) -> String) throws -> Outcome {
            let place = try Place()
            let id = try place.fetchBusybox()
            // The tree is rendered here: there is no helper there.
            let rendered = try place.run("d2a", "run", "--rm", id, "--", "true")
            try #require(rendered.status == 0, "\(rendered)")
            return try Lab.run("\(Lab.package)/Tests/Fixtures/machine", [try #require(kernel), Lab.programs, place.store, groups, script(id)])
        }

        /// Starts a pod with limits, looks at what is written for it by `look` in its app's groups, ends it, and looks at what is left.
        private func limited(_ id: String, _ look: String) -> String {
            """
            v=--volume=volume-data,kind=empty
            d2a run $v --uuid-file-save=/uuid \(id) --memory=24Mi --cpu=15m --cpu-shares=512 -- sh -c 'cat /proc/self/cgroup; echo up; exec sleep 1000' >/up & pod=$!
            while ! grep -q up /up; do sleep 0.1; done; grep -v up /up; group=d2a-$(cat /uuid)/app-busybox
            \(look)
            d2a stop --force $(cat /uuid) >/dev/null; wait $pod
            d2a run --rm $v \(id) --memory=24Mi -- sh -c 'head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 3' 2>&1; echo $?
            d2a run --rm $v \(id) -- sh -c 'cat /proc/self/cgroup; mknod /loop b 7 0; head -c1 /loop 2>&1; head -c3 /dev/zero | wc -c'
            d2a gc --grace-period=0s >/dev/null; find /sys/fs/cgroup -name 'd2a-*'; ls /var/lib/d2a/pods/run
            """
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
    }
#endif
