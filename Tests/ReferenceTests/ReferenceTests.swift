import Digest
import Testing

@testable import Reference

@Suite struct ReferenceTests {
    @Test(arguments: [
        ("busybox", "registry-1.docker.io/library/busybox:latest"),
        ("docker://busybox:1.36", "registry-1.docker.io/library/busybox:1.36"),
        ("nickethier/rkt", "registry-1.docker.io/nickethier/rkt:latest"),
        ("docker.io/a/b", "registry-1.docker.io/a/b:latest"),
        ("localhost/a", "localhost/a:latest"),
        ("127.0.0.1:5000/library/busybox", "127.0.0.1:5000/library/busybox:latest"),
        ("[::1]:5000/a/b:T.1-x", "[::1]:5000/a/b:T.1-x"),
        ("quay.io/a/b/c/d__e", "quay.io/a/b/c/d__e:latest"),
    ])
    func whole(text: String, expected: String) throws {
        #expect(try ImageReference(text).description == expected)
    }

    @Test func digestNeedsNoTag() throws {
        let digest = "sha256:" + String(repeating: "ab", count: 32)
        let reference = try ImageReference("a.b/c@\(digest)")
        #expect(reference.tag == nil)
        #expect(reference.manifestReference == digest)
        #expect(try ImageReference("a.b/c:v1@\(digest)").tag == "v1")
    }

    @Test(arguments: [
        "", "docker://", "UPPER/case", "a//b", "a/b:", "a/b:-x", "a..b/../c", "host:99999/a", "a@sha256:12", "a b", "-a/b", "a/\u{1B}[31m", "./busybox.tar",
    ])
    func refused(text: String) {
        #expect(throws: ReferenceError.self) { try ImageReference(text) }
    }
}
