import Foundation
import Testing

/// `d2a diff` of directories and images.
@Suite struct DiffTests {
    @Test func directories() throws {
        let place = try Place()
        let made = try place.shell(
            """
            set -e
            mkdir -p a/deep/down; echo 1 >a/deep/down/file; echo same >a/same; echo old >a/changed; ln -s here a/link
            printf x >"a/$(printf 'e\\033[31mvil<b>\\377')"
            cp -a a b; rm -r b/deep; echo new >b/changed; ln -sf there b/link; chmod 600 b/same; rm -- "b/$(printf 'e\\033[31mvil<b>\\377')"
            touch -h -d @1 a/* b/*
            """)
        try #require(made.status == 0, "\(made.errors)")
        #expect(try place.run("d2a", "diff", "a", "a").output == "a and a: the same\n")
        let diff = try place.run("d2a", "diff", "a", "b")
        #expect(diff.status == 1)
        #expect(
            diff.output.split(separator: "\n").dropFirst(3).map { String($0.prefix(60)) } == [
                "  ~ changed: content", "    - 4 bytes sha256:01d09d19c2139a46aebfb577780d123d7396e97",
                "    + 4 bytes sha256:7aa7a5359173d05b63cfd682e3c38487f3cb4f7", "  - deep  directory 0755 0:0 with 2 below",
                "  - e\\x1b[31mvil<b>\\xff  file 0644 0:0, 1 bytes", "  ~ link: target  here → there", "  ~ same: mode  0644 → 0600",
            ])
        #expect(try place.run("d2a", "diff", "--ignore=content,presence,target,mode", "a", "b").status == 0)
        #expect(try place.run("d2a", "diff", "--only=manifest", "a", "b").status == 2)
        #expect(try place.run("d2a", "diff", "--only=process", "a", "b").status == 2)
        #expect(try place.run("d2a", "diff", "a", "missing:tag").status == 2)
        #expect(place.names("store/tmp") == [])
    }

    @Test(.enabled(if: Lab.runsPods, "needs root, skopeo, umoci and busybox (make setup)")) func images() throws {
        let place = try Place()
        let first = try place.archive("mkdir -p etc; echo 1 >etc/a; touch -d @5 etc/a etc", config: #"{"Cmd":["/a"],"Env":["A=1","B=2"]}"#)
        let made = try place.shell(
            "cp \(first) first.docker; docker2aci --quiet -o first.aci first.docker; d2a fetch --quiet first.docker; mkdir tree; tar -C tree -xpf first.aci")
        try #require(made.status == 0, "\(made.errors)")
        let id = made.output.trimmingCharacters(in: .newlines)
        for other in ["first.docker", "docker-archive:first.docker", id, String(id.prefix(20)), "made:latest"] {
            let diff = try place.run("d2a", "diff", "first.aci", other)
            #expect(diff.status == 0 && diff.output.split(separator: "\n").count == 1, "\(other): \(diff.output) \(diff.errors)")
        }
        // The layout that the ACI was made of has no times of its own in dev.
        #expect(try place.run("d2a", "diff", "--ignore=time", "tree", "first.aci").status == 0)
        #expect(try place.run("d2a", "diff", "tree/rootfs", "first.aci").status == 2)

        let second = try place.archive("mkdir -p etc; echo 2 >etc/a; touch -d @5 etc/a etc", config: #"{"Cmd":["/b"],"Env":["A=1","B=3"],"Volumes":{"/v":{}}}"#)
        let diff = try place.run("d2a", "diff", "first.aci", second)
        #expect(diff.status == 1)
        #expect(
            diff.output.split(separator: "\n").filter { $0.hasPrefix("  ~") || $0.hasPrefix("  +") || $0.hasPrefix("  -") } == [
                #"  ~ annotations appc.io/docker/cmd  ["/a"] → ["/b"]"#, "  ~ app.environment B  2 → 3", #"  ~ app.exec  ["/a"] → ["/b"]"#,
                #"  + app.mountPoints volume-v  {"path":"/v","readOnly":false}"#, "  ~ etc/a: content",
            ], "\(diff.output)")
    }
}
