import Digest
import Foundation
import Hashing
import Testing

private let ready = Lab.has("python3")

/// The bytes that become of an image. They are image IDs, which people keep, sign and compare: no version may change them unawares
/// (docs/stability.md).
@Suite(.enabled(if: ready, "needs python3"))
struct GoldenBytesTests {
    /// What ``docker2aci`` makes of the image of `Tests/Fixtures/golden.py`, by its SHA-256.
    private static let golden = [
        "none": "df740f35e6844cba3f4f14b291ccf65e97bdcc58b492ba1a618b63cadf4e579a",
        // As ISA-L 2.30 of Debian 12 deflates on x86; other versions may do it otherwise, and what is inside is the same.
        "gzip": "5cdf0386b8123fc60d6d024ff5044227d80cefe10116652e108518951893b6c7",
        "nosquash 0": "759582c8cba8b10a8bf85ff826380bb393d5fee539f77aab6d6e7940a5df6d0b",
        "nosquash 1": "a83ae4d1c2459ed96c445b2b2ff26e7dd8aef70c27ce13ff9f184cf3941e92f7",
        "nosquash 2": "c14b99a2077f4d478bff7abd8e59120e8310ded5da5219c5df3de0baa46e7162",
    ]

    private static var hasGoldenDeflate: Bool {
        (try? Lab.run("sh", ["-c", "[ $(uname -m) = x86_64 ] && pkg-config --modversion libisal"]).output.hasPrefix("2.30.")) ?? false
    }

    @Test func theBytesAreThoseOfAlways() throws {
        let place = try Place()
        let outcome = try place.shell(
            """
            set -e; python3 \(Lab.package)/Tests/Fixtures/golden.py golden.docker
            docker2aci --quiet --compression=none -o none golden.docker; docker2aci --quiet -o gzip golden.docker
            docker2aci --quiet --nosquash --compression=none golden.docker
            for n in 0 1 2; do mv golden-v1-linux-amd64-$n.aci "nosquash $n"; done
            gzip -dc gzip | cmp - none
            """)
        try #require(outcome.status == 0, "\(outcome.errors)")
        for (name, golden) in Self.golden.sorted(by: { $0.key < $1.key }) where name != "gzip" || Self.hasGoldenDeflate {
            let digest = StreamHasher.digest(try Data(contentsOf: URL(fileURLWithPath: "\(place.path)/\(name)")))
            #expect(
                digest.hex == golden,
                """
                \(name): the ACI of the same image has other bytes than before. Every image that people have converted gets another ID by this, \
                and signatures no longer fit. If that is not what you want, find the change by comparing `tar -tv` and the manifests of \
                both versions. If it is: write it into CHANGELOG.md and docs/stability.md, and put \(digest.hex) here.
                """)
        }
    }
}
