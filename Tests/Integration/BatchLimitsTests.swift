import Foundation
import Testing

private let ready = Lab.has("docker-registry") && Lab.has("python3") && Lab.has("jq") && Lab.has("tmux")

/// What a batch may take of the machine and of registries, where its images come from and where they go.
@Suite(.enabled(if: ready, "needs docker-registry, python3, jq and tmux (make setup)"))
struct BatchLimitsTests {
    private func images(_ place: Place, _ count: Int, megabytes: Double = 0.5) throws -> RegistryServer {
        let server = try RegistryServer(try Place())
        let made = try place.shell("\(Lab.package)/bench/make-images \(server.address) \(count) 2 \(megabytes) >list")
        try #require(made.status == 0, "\(made.errors)")
        return server
    }

    /// Peak of memory, and of what the disk holds beside finished ACIs, while a batch goes on.
    private static let measure = """
        import os, resource, subprocess, sys, threading, time
        disk, directory = 0, sys.argv[1]
        process = subprocess.Popen(sys.argv[2:])
        def files():
            total = 0
            for pid in os.listdir("/proc"):
                try:
                    if pid.isdigit() and b"--shown=" in open(f"/proc/{pid}/cmdline", "rb").read():
                        for fd in os.listdir(f"/proc/{pid}/fd"):
                            target = os.readlink(f"/proc/{pid}/fd/{fd}")
                            if target.startswith(directory) and "(deleted)" in target:
                                total += os.stat(f"/proc/{pid}/fd/{fd}").st_blocks * 512
                except OSError:
                    pass
            for root, _, names in os.walk(directory):
                for name in names:
                    if not name.endswith(".aci"):
                        try: total += os.stat(os.path.join(root, name)).st_blocks * 512
                        except OSError: pass
            return total
        while process.poll() is None:
            disk = max(disk, files())
            time.sleep(0.005)
        print(process.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, disk >> 20)
        """

    @Test func memoryAndDisk() throws {
        let place = try Place()
        let server = try images(place, 12, megabytes: 6)
        try Self.measure.write(toFile: place.path + "/measure.py", atomically: true, encoding: .utf8)
        try place.shell("d2a batch list -o free --quiet")
        // However many are converted at once.
        for (jobs, megabytes) in [(1, 24), (8, 40), (16, 32)] {
            let outcome = try place.shell(
                """
                rm -rf out; python3 measure.py $PWD/out d2a batch list -o out --quiet --no-cache --jobs \(jobs) --max-memory 128M --max-disk \(megabytes)M
                diff -rq -x .d2a-batch out free
                """)
            let figures = outcome.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            #expect(outcome.errors == "" && figures.count == 3 && figures[0] == 0 && outcome.status == 0, "\(outcome)")
            // Something was measured, and it is within the budget.
            #expect(figures[1] > 10 && figures[1] <= 128 && figures[2] >= 1 && figures[2] <= megabytes, "\(jobs) at once: \(outcome.output)")
        }
        // What can't be done within it is said of that image alone.
        let refused = try place.shell(
            "d2a batch list -o small --quiet --no-cache --max-disk 16M 2>/dev/null; jq -r '.failure.cause // .status' small/.d2a-batch/r*.json | sort | uniq -c | tr -s ' '; d2a batch list -o x --max-disk 1M; d2a batch list -o x --max-memory 1M"
        )
        #expect(refused.output.contains("limit") || refused.output == " 12 done\n", "\(refused)")
        #expect(refused.errors.contains("--max-disk is too little") && refused.errors.contains("--max-memory is too little"), "\(refused)")
        _ = server
    }

    @Test func requestsAndBandwidth() throws {
        let place = try Place()
        let server = try images(place, 4)
        let parts = server.address.split(separator: ":").map(String.init)
        // As many connections as there may be requests at once; the relay counts them.
        let relay = try FixtureServer.relay(to: server.address, rate: "0")
        let one = try place.shell("sed 's/:\(parts[1])/:\(relay.port)/' list >l; d2a batch l -o one --jobs 4 --connections 1 --quiet --no-cache; echo $?")
        // One of each worker that asks for TLS, and one that is used for all.
        #expect(one.output == "0\n" && relay.requests.count <= 5, "\(one) \(relay.requests.count)")
        // What the layers have at so many bytes a second, and requests at so many a second, take their time, told by the records' own clock.
        let slow = try place.shell(
            "d2a batch list -o slow --jobs 4 --no-cache --bandwidth 200K --json | jq -r 'select(.event == \"summary\") | [.seconds, .fetched / 204800] | .[0] >= .[1] * 0.9'; d2a batch list -o rate --no-cache --request-rate 10 --json | jq 'select(.event == \"summary\") | .seconds > 1'"
        )
        #expect(slow.output == "true\ntrue\n", "\(slow)")
    }

    /// A registry that wants to be left alone is, by all that is under way.
    @Test func aRegistryThatAsksForPeace() throws {
        let place = try Place()
        let server = try images(place, 12)
        let parts = server.address.split(separator: ":").map(String.init)
        let busy = try FixtureServer(try Place(), "flaky.py", parts[0], parts[1], more: ["4"])
        let outcome = try place.shell("sed 's/:\(parts[1])/:\(busy.port)/' list >l; d2a batch l -o out --jobs 4 --no-cache --quiet; echo $?")
        #expect(outcome.output == "0\n", "\(outcome)")
        let requests = busy.requests.map { $0.split(separator: " ") }
        let refused = try #require(requests.first { $0[0] == "429" }.flatMap { Double($0[2]) })
        let since = requests.compactMap { Double($0[2]) }.map { $0 - refused }
        // Those that were on their way came meanwhile.
        #expect(since.filter { $0 > 1.5 && $0 < 3.9 }.isEmpty && since.count { $0 >= 3.9 } > 20, "\(since)")
    }

    @Test func fromARegistryIntoTheStore() throws {
        let place = try Place()
        let server = try images(place, 12)
        let listed = try place.shell(
            "d2a batch expand --from-registry \(server.address) | sort | diff - <(sort list) && d2a batch expand --from-registry \(server.address)/group1 --exclude '*:v1' --exclude group1/app11; d2a batch expand --from-registry \(server.address) --include '*/app[23]:v?'"
        )
        #expect(
            listed.output == ["group1/app6:v0", "group2/app2:v2", "group3/app3:v0"].map { "\(server.address)/\($0)\n" }.joined() && listed.errors == "",
            "\(listed)")
        let stored = try place.shell(
            """
            d2a batch --from-registry \(server.address)/group0 --to-store --quiet; d2a image list --fields=id --no-legend --full | sort >ids
            for i in $(grep group0 list); do d2a fetch --quiet $i; done | sort | diff - ids; find store/batch -name '*.aci' | wc -l
            d2a batch --from-registry \(server.address)/group0 --to-store; d2a image rm --quiet $(head -1 ids) >/dev/null 2>&1 || d2a image rm $(head -1 ids) >/dev/null
            d2a batch --from-registry \(server.address)/group0 --to-store -o both; ls both
            """)
        #expect(
            stored.output
                == "0\n0 converted, 3 unchanged, 0 failed\n3 converted, 0 unchanged, 0 failed\ngroup0-app0-v0.aci\ngroup0-app10-v1.aci\ngroup0-app5-v2.aci\n",
            "\(stored)")
        let named = try place.shell(
            "head -2 list | d2a batch - -o named --quiet --name-template '{name}_{tag}.{arch}.aci'; ls named; head -2 list | d2a batch - -o clash --name-template 'x.aci' 2>/dev/null; d2a batch list -o x --name-template '{nome}'; echo $?; d2a batch list -o x --name-template a/b; echo $?"
        )
        #expect(named.output == "app0_v0.amd64.aci\napp1_v1.amd64.aci\n1 converted, 0 unchanged, 1 failed\n2\n2\n", "\(named)")
        let wrong = try place.shell(
            "d2a batch --from-registry 127.0.0.1:1 -o x; echo $?; d2a batch -o x; echo $?; d2a batch list --from-registry a -o x; echo $?")
        #expect(wrong.output == "254\n2\n2\n" && wrong.errors.contains("can't reach 127.0.0.1:1"), "\(wrong)")
    }

    @Test func theScreen() throws {
        let place = try Place()
        let server = try images(place, 8)
        let relay = try FixtureServer.relay(to: server.address, rate: "150000")
        let port = server.address.split(separator: ":")[1]
        let outcome = try place.shell(
            """
            sed 's/:\(port)/:\(relay.port)/' list >l; echo 127.0.0.1:\(relay.port)/none >>l; export TERM=xterm
            tmux -S $PWD/tmux new-session -d -x 70 -y 12 "PATH=$PATH D2A_CACHE=$PWD/cache d2a batch l -o out --jobs 2; echo ended; sleep 60"
            for n in $(seq 600); do tmux -S $PWD/tmux capture-pane -p >now; grep -q '[0-9] left ' now && grep -q /group now && cp now middle; grep -q ended now && break; sleep 0.1; done
            tmux -S $PWD/tmux kill-server; cat middle; echo ----; cat now
            """)
        let parts = outcome.output.components(separatedBy: "----\n")
        try #require(parts.count == 2, "\(outcome)")
        #expect(parts[0].contains(" done, ") && parts[0].contains("fetched, ") && parts[0].contains("[=") && parts[0].contains("/group"), "\(outcome)")
        #expect(
            parts[1].contains("8 converted, 0 unchanged, 1 failed") && parts[1].contains("has no repository none") && !parts[1].contains("[="), "\(outcome)")
    }
}
