import Batch
import Files
import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("python3") && Lab.has("jq")

/// Sixty images of a real registry, on three bases: nothing is fetched twice, and nothing is lost, whatever happens.
@Suite(.enabled(if: ready, "needs docker-registry, python3 and jq (make setup)"), .serialized)
struct BatchRegistryTests {
    /// The registry with its images, and what an undisturbed run makes of them, once for all tests.
    private final class Images: @unchecked Sendable {
        let server: RegistryServer
        let place: Place
        let list: String
        let count = 60

        init() throws {
            place = try Place()
            server = try RegistryServer(try Place())
            list = place.path + "/list"
            let made = try place.shell("\(Lab.package)/bench/make-images \(server.address) \(count) 3 0.5 >list && d2a batch list -o undisturbed --jobs 2")
            guard made.status == 0 else { throw CocoaError(.featureUnsupported, userInfo: [NSDebugDescriptionErrorKey: "\(made)"]) }
        }

        /// The names of the ACIs that differ from those of the undisturbed run, or are missing or too many.
        func differences(_ directory: String) throws -> String { try place.shell("diff -rq -x .d2a-batch undisturbed \(directory)").output }

        /// The list with another address for the registry.
        func list(at address: String) throws -> String {
            let path = place.path + "/list-" + UUID().uuidString
            try String(contentsOfFile: list, encoding: .utf8).replacingOccurrences(of: server.address, with: address).write(
                toFile: path, atomically: true, encoding: .utf8)
            return path
        }
    }
    nonisolated(unsafe) private static var made: Result<Images, any Error>? = {
        atexit { BatchRegistryTests.made = nil }
        return Result { try Images() }
    }()

    @Test func everyBlobOnce() throws {
        let images = try #require(Self.made).get()
        for options in ["", "--no-cache"] {
            let before = images.server.requests.count
            let outcome = try images.place.shell("d2a cache prune >/dev/null; d2a batch list -o once\(options) --jobs 2 \(options)")
            #expect(outcome.output == "60 converted, 0 unchanged, 0 failed\n", "\(outcome)")
            var counts: [String: Int] = [:]
            for line in images.server.requests.dropFirst(before) where line.contains("\"GET ") {
                if let place = line.range(of: "/blobs/") { counts[String(line[place.upperBound...].prefix(71)), default: 0] += 1 }
            }
            // Configurations and own layers, two layers of each base, one that some share.
            #expect(counts.count == 60 + 60 + 6 + 1 && counts.values.allSatisfy { $0 == 1 }, "\(counts.filter { $0.value != 1 })")
            #expect(try images.differences("once\(options)") == "")
            #expect(images.place.names("once\(options)/.d2a-batch").allSatisfy { $0.hasPrefix("r") })
        }
        // What docker2aci makes of one alone.
        let alone = try images.place.shell(
            "for n in 0 1 37; do i=$(sed -n $((n + 1))p list); docker2aci --quiet --no-cache -o alone.aci $i; cmp alone.aci undisturbed/$(basename $(dirname $i))-$(basename $i | tr : -).aci; done"
        )
        #expect(alone.output == "" && alone.errors == "" && alone.status == 0, "\(alone)")
        // Again: one request each, which fetches nothing. The image whose tag has moved is converted.
        let before = images.server.requests.count
        #expect(try images.place.shell("d2a batch list -o once").output == "0 converted, 60 unchanged, 0 failed\n")
        let requests = images.server.requests.dropFirst(before).filter { !$0.contains("\"GET /v2/ ") }
        #expect(requests.count == 60 && requests.allSatisfy { $0.contains("\"HEAD ") }, "\(requests.prefix(3))")
    }

    @Test func killedAndGoneOnWith() throws {
        let images = try #require(Self.made).get()
        // Slow enough to be killed in the middle.
        let relay = try FixtureServer.relay(to: images.server.address, rate: "400000")
        let list = try images.list(at: "127.0.0.1:\(relay.port)")
        var finished: [Int] = []
        for round in 1...5 {
            // Either process dies with the other.
            let victim = round.isMultiple(of: 2) ? "$!" : "$(cat /proc/$!/task/$!/children)"
            let killed = try images.place.shell(
                """
                exec 2>/dev/null; rm -rf cache; D2A_CACHE=$PWD/cache d2a batch \(list) -o killed --jobs 2 --attempts 1 >out & sleep 1.\(4 + round); kill -9 \(victim); wait $!; echo $?
                for f in killed/*.aci; do [ ! -e "$f" ] || gzip -t $f || echo $f; done
                """)
            #expect(["137\n", "254\n"].contains(killed.output), "\(round): \(killed)")
            finished.append(images.place.names("killed").count { $0.hasSuffix(".aci") })
        }
        #expect(finished == finished.sorted() && finished[0] < 60 && finished[4] > finished[0], "\(finished)")
        let rest = try images.place.shell("d2a batch \(list) -o killed --jobs 2; ls -A killed killed/.d2a-batch | grep -c '^[.]new'")
        #expect(rest.status == 0 || rest.output.hasSuffix("\n0\n"), "\(rest)")
        // At most those that were under way when a process died are done twice.
        let again = Int(rest.output.prefix { $0 != " " })!
        #expect(again <= 60 - finished[4] + 2 && rest.output.hasSuffix(" 0 failed\n0\n"), "\(finished) \(rest)")
        // The names have the address in them, and so the manifests.
        #expect(images.place.names("killed").filter { $0.hasSuffix(".aci") } == images.place.names("undisturbed").filter { $0.hasSuffix(".aci") })
        let fresh = try images.place.shell("d2a batch \(list) -o fresh --jobs 2 --quiet; diff -rq -x .d2a-batch fresh killed")
        #expect(fresh.status == 0 && fresh.output == "" && fresh.errors == "", "\(fresh)")
    }

    @Test func aRegistryThatFailsOneOfTenRequests() throws {
        let images = try #require(Self.made).get()
        let parts = images.server.address.split(separator: ":").map(String.init)
        let flaky = try FixtureServer(try Place(), "flaky.py", parts[0], parts[1])
        let list = try images.list(at: "127.0.0.1:\(flaky.port)")
        // Without asking again for a request, so that images fail as a whole.
        let outcome = try images.place.shell(
            "d2a batch \(list) -o flaky --jobs 2 --retry 0 --attempts 20 --attempt-delay 0 --no-cache; jq .attempts flaky/.d2a-batch/r*.json | sort -n | tail -1; d2a batch \(list) -o once-more --retry 3 --retry-delay 0 --attempts 1 --no-cache; diff -rq -x .d2a-batch flaky once-more"
        )
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(outcome.status == 0 && lines.count == 3 && lines[0] == "60 converted, 0 unchanged, 0 failed" && lines[2] == lines[0], "\(outcome)")
        #expect(Int(lines[1])! > 1, "\(lines)")
        #expect(Set(flaky.requests.map { $0.prefix { $0 != " " } }) == ["fine", "503", "429", "cut", "half"])
    }

    @Test func onePoisonedImage() throws {
        let images = try #require(Self.made).get()
        // Its own layer, in the registry's storage.
        let record = try #require(
            BatchDirectory(in: Directory.open(images.place.path + "/undisturbed")).records().first { $0.reference.hasSuffix("/app17:v2") })
        let hex = record.layers!.last!.digest.dropFirst("sha256:".count)
        let blob = "\(images.server.root)/docker/registry/v2/blobs/sha256/\(hex.prefix(2))/\(hex)/data"
        let outcome = try images.place.shell(
            """
            cp \(blob) kept; printf x | dd of=\(blob) bs=1 seek=100 conv=notrunc 2>/dev/null
            d2a batch list -o poisoned --jobs 2 --no-cache --attempts 2 --attempt-delay 0 2>errors; echo $?; cat poisoned/.d2a-batch/failed.list; cp kept \(blob)
            d2a batch poisoned/.d2a-batch/failed.list -o poisoned --quiet --no-cache; ls poisoned/.d2a-batch/failed.list
            """)
        #expect(outcome.output == "59 converted, 0 unchanged, 1 failed\n3\n\(record.reference)\n", "\(outcome)")
        #expect(try images.place.shell("grep -c 'has the digest' errors").output == "2\n")
        #expect(try images.differences("poisoned") == "")
    }

    @Test(.enabled(if: Lab.isRoot, "mounting takes root")) func aFullDisk() throws {
        let images = try #require(Self.made).get()
        let outcome = try images.place.shell(
            """
            mkdir full; mount -t tmpfs -o size=8m tmpfs full; trap 'umount full' EXIT
            d2a batch list -o full/out --jobs 2 --attempts 1 2>errors; echo $?; for f in full/out/*.aci; do gzip -t $f || echo torn; done
            jq -r 'select(.failure) | .failure.cause' full/out/.d2a-batch/r*.json | sort -u
            mount -o remount,size=200m full; d2a batch list -o full/out --quiet; echo $?; diff -rq -x .d2a-batch undisturbed full/out
            """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 4 && lines[1...] == ["3", "disk", "0"], "\(outcome)")
        #expect(lines.first.map { !$0.hasPrefix("0 ") && !$0.hasPrefix("60 ") } == true, "\(outcome)")
    }
}
