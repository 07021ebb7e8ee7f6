import Foundation
import Testing

private let ready = Lab.runsPods && Lab.has("clang")

/// What an image may try before its app runs, and what a program of C can that shell can't: beside `EscapeTests`, for the table of
/// docs/security.md.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci, busybox and clang (make setup)"))
struct HostileImageTests {
    private let place: Place

    init() throws {
        place = try Place()
        try "host\n".write(toFile: place.path + "/secret", atomically: true, encoding: .utf8)
    }

    /// An image that lines of shell have made on top of busybox; nil where it is refused.
    private func image(_ script: String = "true", config: String = #"{"Cmd":["/bin/sh"]}"#) throws -> String? {
        let busybox =
            "mkdir -p bin etc; cp $(command -v busybox) bin/busybox; for a in $(bin/busybox --list); do [ $a = busybox ] || ln -s busybox bin/$a; done"
        let fetched = try place.run("d2a", "fetch", "--quiet", place.archive("\(busybox); \(script)", config: config))
        return fetched.status == 0 ? fetched.output.trimmingCharacters(in: .newlines) : nil
    }

    /// Runs a line of shell, or the image's own command.
    private func start(_ id: String, options: [String] = [], _ script: String?) throws -> Outcome {
        let words = ["run", "--rm", "--quiet", "--net=none", id] + options + (script.map { ["--", "sh", "-c", $0] } ?? [])
        return try Lab.run("d2a", words, environment: ["D2A_DIR": place.store])
    }

    private func run(image script: String = "true", config: String = #"{"Cmd":["/bin/sh"]}"#, options: [String] = [], _ line: String?) throws -> Outcome {
        try start(#require(try image(script, config: config)), options: options, line)
    }

    /// A static program of C, beside the tests' files.
    private func compile(_ source: String) throws -> String {
        try source.write(toFile: place.path + "/attack.c", atomically: true, encoding: .utf8)
        let outcome = try place.shell("clang -static -O1 -o attack attack.c")
        try #require(outcome.status == 0, "\(outcome.errors)")
        return place.path + "/attack"
    }

    @Test(arguments: ["dev", "proc", "sys", "dev/pts", "dev/shm", "tmp"]) func mountsDontFollowLinks(_ name: String) throws {
        let target = place.path + "/target"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        let up = String(repeating: "../", count: 12)
        for link in [target, up + target.dropFirst()] {
            // An image whose /dev is a link is none that is converted.
            guard let id = try image("mkdir -p $(dirname \(name)); ln -s \(link) \(name)") else { continue }
            let outcome = try start(id, "true")
            // Refused, or mounted inside; never outside.
            #expect(place.names("target") == [], "\(outcome)")
            #expect(try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8).contains(target) == false)
        }
    }

    @Test func filesOfOursDontFollowLinks() throws {
        for name in ["resolv.conf", "hosts", "hostname"] {
            let outcome = try run(
                image: "ln -s \(String(repeating: "../", count: 12))\(place.path.dropFirst())/secret etc/\(name)", "echo x >/etc/\(name); true")
            #expect(try String(contentsOfFile: place.path + "/secret", encoding: .utf8) == "host\n", "\(outcome)")
        }
    }

    /// CVE-2024-21626, and the same by process 1.
    @Test func workingDirectoriesDontLeadOut() throws {
        let id = try #require(try image())
        for link in (3..<24).map({ "/proc/self/fd/\($0)" }) + ["/proc/1/root", "/proc/1/cwd", "/proc/self/fd/6/../..", "/proc/1/root/tmp"] {
            let outcome = try start(id, options: ["--working-dir=\(link)"], "cat ../../../../../../..\(place.path)/secret; pwd -P")
            #expect(!outcome.output.contains("host"), "\(link): \(outcome)")
        }
    }

    /// Shocker (2014), the way out of a chroot, and the host's root by its mounts.
    @Test func handlesAndRootsDontLeadOut() throws {
        let attack = try compile(
            """
            #define _GNU_SOURCE
            #include <fcntl.h>
            #include <sched.h>
            #include <stdio.h>
            #include <sys/mount.h>
            #include <sys/ptrace.h>
            #include <sys/stat.h>
            #include <unistd.h>
            int main(void) {
                struct { struct file_handle head; unsigned char bytes[8]; } handle = {{8, 1}, {2, 0, 0, 0, 0, 0, 0, 0}};
                int root = open("/", O_RDONLY);
                if (open_by_handle_at(root, &handle.head, O_RDONLY) >= 0) puts("handle");
                mkdir("/jail", 0755);
                if (chroot("/jail") == 0) {
                    for (int i = 0; i < 64; i++) chdir("..");
                    chroot(".");
                }
                fchdir(root);
                for (int i = 0; i < 64; i++) chdir("..");
                chroot(".");
                if (access("\(place.path)/secret", F_OK) == 0) puts("host");
                if (ptrace(PTRACE_ATTACH, 1, 0, 0) == 0) puts("ptrace");
                if (setns(open("/proc/1/ns/mnt", O_RDONLY), CLONE_NEWNS) == 0) puts("setns");
                if (mount("none", "/", "tmpfs", 0, 0) == 0) puts("mount");
                puts("done");
                return 0;
            }
            """)
        let outcome = try run(image: "cp \(attack) attack", "/attack")
        #expect(outcome.output == "done\n", "\(outcome)")
    }

    @Test func readOnlyIsReadOnly() throws {
        try FileManager.default.createDirectory(atPath: place.path + "/shared", withIntermediateDirectories: true)
        let outcome = try place.shell(
            """
            id=$(d2a fetch --quiet \(Lab.busybox)); d2a run --rm --quiet --net=none --volume=volume-data,kind=host,source=$PWD/shared,readOnly=true $id -- \
                sh -c 'touch /data/x; mount -o remount,rw /data; touch /data/y; true' 2>/dev/null; ls shared
            """)
        #expect(outcome.output == "", "\(outcome)")
    }
}
