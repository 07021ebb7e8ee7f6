import Foundation
import Testing

private let ready =
    Lab.runsPods && Lab.has("ip") && Lab.has("iptables")
    && FileManager.default.isExecutableFile(atPath: "/usr/lib/cni/portmap")

/// Pods with networks of their own. The host that they are on is a network namespace of the test's, so that nothing of them is
/// ever seen on the true one.
@Suite(.enabled(if: ready, "needs root, skopeo, umoci, busybox, iproute2, iptables and containernetworking-plugins (make setup)"), .serialized)
final class PodNetworkTests {
    private let place: Place
    private let id: String
    private let host = "d2a-test-\(UInt32.random(in: 0...UInt32.max))"
    private let network: String

    init() throws {
        place = try Place()
        id = try place.fetchBusybox()
        network = "n\(UInt32.random(in: 0...UInt32.max))"
        let config = #"""
            {"name":"\#(network)","cniVersion":"0.4.0","type":"bridge","bridge":"\#(network.prefix(10))","isGateway":true,"ipMasq":true,
             "ipam":{"type":"host-local","subnet":"10.99.7.0/24","dataDir":"\#(place.path)/leases","routes":[{"dst":"0.0.0.0/0"}]},
             "dns":{"nameservers":["192.0.2.53"],"search":["example.com"]}}
            """#
        try FileManager.default.createDirectory(atPath: place.path + "/net.d", withIntermediateDirectories: true)
        try config.write(toFile: place.path + "/net.d/10-test.conf", atomically: true, encoding: .utf8)
        let made = try place.shell("ip netns add \(host) && ip -n \(host) link set lo up")
        try #require(made.status == 0, "\(made.errors)")
    }

    deinit { _ = try? Lab.run("ip", ["netns", "delete", host]) }

    /// Shell on the host.
    private func shell(_ line: String) throws -> Outcome {
        try place.shell("export NETCONFPATH=\(place.path)/net.d; nsenter --net=/run/netns/\(host) bash -c '\(line)'")
    }

    private func expectNothingLeft(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let links = try shell("ip -o link show type veth; iptables -t nat -S | grep -v HOSTPORT | grep CNI; iptables -t nat -S | grep dport")
        #expect(links.output == "", sourceLocation: sourceLocation)
        #expect(place.names("leases/" + network).filter { $0.hasPrefix("10.") } == [], sourceLocation: sourceLocation)
        try place.expectNothingLeft(sourceLocation: sourceLocation)
    }

    @Test func aNetworkOfItsOwn() throws {
        let seen = try shell(
            "d2a run --rm --net=\(network) --hostname=pod \(id) -- sh -c \"ip -4 -o addr; ip route; cat /etc/hosts /etc/resolv.conf; ping -c1 -W2 10.99.7.1\"")
        #expect(seen.status == 0, "\(seen)")
        for text in ["10.99.7.2/24", "default via 10.99.7.1", "10.99.7.2\tpod\n", "search example.com\nnameserver 192.0.2.53\n", " 0% packet loss"] {
            #expect(seen.output.contains(text), "\(text) in \(seen.output)")
        }
        try expectNothingLeft()
    }

    @Test func podsReachEachOther() throws {
        let outcome = try shell(
            """
            d2a run --rm --net=\(network) \(id) -- sh -c "echo up; echo hello | nc -l -p 7000" >up & for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done
            d2a run --rm --net=\(network):IP=10.99.7.77 \(id) -- sh -c "ip -4 -o addr show eth0; for i in 1 2 3 4 5 6 7 8 9; do nc 10.99.7.2 7000 && break; sleep 0.2; done"
            wait
            """)
        #expect(outcome.output.hasSuffix("hello\n") && outcome.output.contains("10.99.7.77/24"), "\(outcome)")
        try expectNothingLeft()
    }

    @Test func portsOfTheHost() throws {
        let archive = try place.archive(
            "mkdir bin; cp $(command -v busybox) bin/sh; cp bin/sh bin/nc", config: #"{"Cmd":["/bin/sh"],"ExposedPorts":{"80/tcp":{}}}"#)
        let web = try place.run("d2a", "fetch", archive).output.trimmingCharacters(in: .newlines)
        let outcome = try shell(
            """
            d2a run --rm --net=\(network) --port=80-tcp:18080 \(web) -- sh -c "echo up; echo served | nc -l -p 80" >up & for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done
            for i in 1 2 3 4 5 6 7 8 9; do timeout 5 busybox nc 127.0.0.1 18080 </dev/null && break; sleep 0.2; done; wait
            """)
        #expect(outcome.output == "served\n", "\(outcome)")
        #expect(try shell("d2a run --net=host --port=80-tcp:1 \(web)").errors.contains("--port flag does not work with 'host' networking"))
        #expect(try shell("d2a run --net=\(network) --port=81-tcp:1 \(web)").errors.contains("port name \"81-tcp\" could not be found in any apps"))
        _ = try place.shell("d2a rm \"\" 2>/dev/null; for u in $(ls store/pods/run); do d2a rm $u; done")
        try expectNothingLeft()
    }

    @Test func namesOfHosts() throws {
        func files(_ options: String) throws -> Outcome { try shell("d2a run --rm \(options) \(id) -- sh -c \"cat /etc/resolv.conf; echo; cat /etc/hosts\"") }
        let told = try files("--net=none --dns=192.0.2.1,192.0.2.2 --dns-search=a --dns-opt=ndots:2 --dns-domain=d --hosts-entry=192.0.2.9=x,192.0.2.9=y")
        #expect(told.output.hasPrefix("# Generated by d2a run\n\nsearch a\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:2\ndomain d\n"))
        #expect(told.output.hasSuffix("192.0.2.9\tx y\n"), "\(told)")
        let hosts = try String(contentsOfFile: "/etc/hosts", encoding: .utf8)
        #expect(try files("--net=none --hosts-entry=host").output.hasSuffix("\n" + hosts))
        #expect(try files("--dns=foo").errors.contains("Invalid IP passed to --dns: foo"))
        #expect(try files("--net=nowhere").errors.contains("networks not found: nowhere"))
        #expect(try files("--net=a,a").status == 254)
        _ = try place.shell("for u in $(ls store/pods/run); do d2a rm $u; done")
        try expectNothingLeft()
    }

    @Test func whatAKilledRunLeavesGcRemoves() throws {
        let outcome = try shell(
            """
            d2a run --rm --uuid-file-save=uuid --net=\(network) \(id) -- sh -c "echo up; sleep 100" >up & run=$!
            for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done; kill -9 $run; wait $run 2>/dev/null
            for i in $(seq 100); do [ "$(d2a status $(cat uuid) | head -1)" = state=exited ] && break; sleep 0.05; done
            ls /run/netns | grep -c $(cat uuid); d2a gc --grace-period=0s; ls /run/netns | grep -c $(cat uuid)
            """)
        #expect(outcome.output.hasPrefix("1\nGarbage collecting pod") && outcome.output.hasSuffix("\n0\n"), "\(outcome)")
        try expectNothingLeft()
    }

    @Test func aPluginThatFails() throws {
        let config = #"{"name":"bad","cniVersion":"0.4.0","type":"bridge","ipam":{"type":"host-local","subnet":"nonsense"}}"#
        try config.write(toFile: place.path + "/net.d/20-bad.conf", atomically: true, encoding: .utf8)
        let outcome = try shell("d2a run --rm --net=\(network),bad \(id) -- true")
        #expect(outcome.status == 254 && outcome.errors.contains("the plugin bridge can't make the network bad"), "\(outcome)")
        try #"{"name":"gone","type":"no-such-plugin"}"#.write(toFile: place.path + "/net.d/20-bad.conf", atomically: true, encoding: .utf8)
        #expect(try shell("d2a run --rm --net=gone \(id) -- true").errors.contains("the plugin no-such-plugin of the network gone isn"))
        try expectNothingLeft()
    }
}
