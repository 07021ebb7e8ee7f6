import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("skopeo") && Lab.has("umoci") && Lab.has("python3")

/// Downloads are made once, in one process, between processes, and from one run to the next.
@Suite(.enabled(if: ready, "needs docker-registry, skopeo, umoci and python3 (make setup)"))
struct CacheTests {
    /// How often each blob was asked for; the log's lines hold `GET /v2/NAME/blobs/DIGEST`.
    private func downloads(_ requests: [String], of image: String) -> [String: Int] {
        var counts: [String: Int] = [:]
        for request in requests {
            guard request.contains("GET"), let place = request.range(of: "/v2/\(image)/blobs/") else { continue }
            counts[String(request[place.upperBound...].prefix(71)), default: 0] += 1
        }
        return counts
    }

    @Test func everyBlobOnce() throws {
        let place = try Place()
        let server = try RegistryServer(try Place())
        // 200 layers, of which 20 are equal.
        let made = try place.shell(
            """
            set -e; mkdir x; cd x; ids=; names=
            for n in $(seq 200); do
                mkdir -p t$n l$n; [ $n -gt 180 ] || echo $n >t$n/f$n; tar --mtime=@0 -C t$n -cf l$n/layer.tar .
                ids+=,\\"sha256:$(sha256sum <l$n/layer.tar | cut -c1-64)\\"; names+=,\\"l$n/layer.tar\\"
            done
            printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "${ids#,}" >c; n=$(sha256sum <c | cut -c1-64).json
            mv c $n; printf '[{"Config":"%s","RepoTags":["made:latest"],"Layers":[%s]}]' $n "${names#,}" >manifest.json; tar -cf ../made.docker *
            """)
        try #require(made.status == 0, "\(made.errors)")
        try server.push(place.path + "/made.docker", as: "made:latest")
        let before = server.requests.count
        let outcome = try place.shell(
            "docker2aci --quiet -o a.aci \(server.address)/made & docker2aci --quiet -o b.aci \(server.address)/made & wait; cmp a.aci b.aci")
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome)")
        let counts = downloads(Array(server.requests.dropFirst(before)), of: "made")
        #expect(counts.count == 182 && counts.values.allSatisfy { $0 == 1 }, "\(counts.filter { $0.value != 1 })")
        #expect(try place.shell("tar -tzf a.aci | grep -c rootfs/f").output == "180\n")
    }

    @Test func theNextTimeIsFree() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        let image = "\(server.address)/plain/image"
        func total() -> Int { downloads(server.requests, of: "plain/image").values.reduce(0, +) }
        #expect(
            try place.shell("docker2aci --quiet -o a.aci \(image); d2a fetch \(image) >/dev/null; docker2aci --quiet -o b.aci \(image); cmp a.aci b.aci").status
                == 0)
        #expect(total() == 3)
        let listed = try place.shell("d2a cache list --no-legend | wc -l; d2a cache list --json | jq length; d2a cache list --full | head -1 | tr -s '\\t' ' '")
        #expect(listed.output == "3\n3\nDIGEST SIZE LAST USE\n", "\(listed)")
        // What was damaged is fetched again; what isn't to be kept isn't.
        try place.shell("for f in \(place.cache)/blobs/sha256/*; do echo >>$f; done")
        #expect(try place.shell("docker2aci --quiet -o b.aci \(image); cmp a.aci b.aci").status == 0)
        #expect(total() == 6)
        #expect(try place.shell("d2a cache prune | cut -d' ' -f1; d2a cache list --no-legend").output == "freed\n")
        #expect(try place.shell("docker2aci --quiet --no-cache -o b.aci \(image); d2a cache list --no-legend").output == "")
        #expect(total() == 9)
        let filled = try place.shell(
            "d2a cache fill \(image); d2a cache list --no-legend | wc -l; docker2aci --quiet -o b.aci \(image); cmp a.aci b.aci; d2a cache prune --keep 1M; d2a cache list --json | jq 'length < 3'; docker2aci --quiet --cache-size 2000 -o b.aci \(image); d2a cache list --json | jq 'map(.size) | add < 2000'"
        )
        #expect(filled.errors == "" && filled.output.hasPrefix("3\nfreed ") && filled.output.hasSuffix("\ntrue\ntrue\n"), "\(filled)")
    }

    @Test func aKilledDownloadHoldsNobodyUp() throws {
        let place = try Place()
        let server = try FixtureRegistry(try Place())
        let outcome = try place.shell(
            """
            docker2aci --quiet -o a.aci \(server.address)/drip/image & pid=$!; sleep 0.4; docker2aci --quiet -o b.aci \(server.address)/drip/image & sleep 0.2
            kill -9 $pid; wait $pid 2>/dev/null; wait; ls; find \(place.cache) -type f -name '.*' | wc -l
            """)
        #expect(outcome.output == "b.aci\n0\n", "\(outcome)")
    }
}
