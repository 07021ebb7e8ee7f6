import Reference
import Testing

@testable import Registries

@Suite struct RegistriesTests {
    private func places(_ name: String, _ text: String) throws -> [String] {
        var configuration = RegistriesConfiguration()
        try configuration.add(path: "registries.conf", text: Array(text.utf8))
        return try configuration.places(for: ImageReference(name)).map { "\($0.reference)\($0.insecure ? " insecure" : "")\($0.isMirror ? " mirror" : "")" }
    }

    @Test func mirrorsComeFirstAndTheRegistryLast() throws {
        let text = """
            [[registry]]
            prefix = "docker.io/library"
            [[registry.mirror]]
            location = "mirror.example:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "digests.example/x"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "tags.example/x"
            pull-from-mirror = "tag-only"
            """
        let digest = "sha256:" + String(repeating: "a", count: 64)
        #expect(
            try places("busybox", text) == [
                "mirror.example:5000/hub/busybox:latest insecure mirror", "tags.example/x/busybox:latest mirror", "registry-1.docker.io/library/busybox:latest",
            ])
        #expect(
            try places("busybox@\(digest)", text) == [
                "mirror.example:5000/hub/busybox@\(digest) insecure mirror", "digests.example/x/busybox@\(digest) mirror",
                "registry-1.docker.io/library/busybox@\(digest)",
            ])
        #expect(try places("other/busybox", text) == ["registry-1.docker.io/other/busybox:latest"])
    }

    @Test func theLongestPrefixCounts() throws {
        let text = """
            [[registry]]
            prefix = "r.example/a"
            location = "short.example"
            [[registry]]
            prefix = "r.example/a/b"
            location = "long.example/c"
            insecure = true
            [[registry]]
            prefix = "*.example"
            location = "any.example"
            [[registry]]
            location = "plain.example:5000"
            insecure = true
            """
        #expect(try places("r.example/a/b/c", text) == ["long.example/c/c:latest insecure"])
        #expect(try places("r.example/a/b", text) == ["long.example/c:latest insecure"])
        #expect(try places("r.example/a/bc", text) == ["short.example/bc:latest"])
        #expect(try places("r.example/ab", text) == ["any.example/ab:latest"])
        #expect(try places("plain.example:5000/ab", text) == ["plain.example:5000/ab:latest insecure"])
        #expect(try places("example.other/ab", text) == ["example.other/ab:latest"])
    }

    @Test func whatCannotBeUsedIsNamed() throws {
        #expect(throws: RegistriesError.blocked(try ImageReference("r.example/a:1"), path: "registries.conf")) {
            try places("r.example/a:1", "[[registry]]\nlocation = 'r.example'\nblocked = true")
        }
        for text in [
            "x = [", "registry = 1", "[[registry]]\ninsecure = true", "[[registry]]\nlocation='r.example'\nmirror = [{location = 'nohost/x'}]",
            "[[registry]]\nlocation='r.example'\nmirror = [{location = 'm.example', pull-from-mirror = 'never'}]",
            "[[registry]]\nlocation='r.example'\nmirror = [{location = 'm.example/UPPER?'}]",
            "[registries.search]\nregistries = ['x']\nregistry = 'x'\n[[registry]]\n",
        ] { #expect(throws: RegistriesError.self, "\(text)") { try places("r.example/a", text) } }
        #expect(try places("r.example/a", "") == ["r.example/a:latest"])
    }
}
