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
        let links = try shell("ip -o link show type veth | grep -v out@; iptables -t nat -S | grep -v HOSTPORT | grep CNI; iptables -t nat -S | grep dport")
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

    /// rkt's two, arguments for one of several, and all of them: what is behind each, seen from a machine beyond the host.
    @Test func theUsualNetworks() throws {
        let beyond = host + "-b"
        let made = try place.shell(
            """
            ip netns add \(beyond) && ip -n \(host) link add out type veth peer name in netns \(beyond) && ip -n \(host) addr add 192.0.2.1/24 dev out &&
            ip -n \(host) link set out up && ip -n \(beyond) addr add 192.0.2.2/24 dev in && ip -n \(beyond) link set in up
            """)
        defer { _ = try? Lab.run("ip", ["netns", "delete", beyond]) }
        try #require(made.status == 0, "\(made.errors)")
        func pod(_ net: String, _ script: String) throws -> Outcome { try shell("d2a run --rm --net\(net) \(id) -- sh -c \"\(script)\"") }
        // What is beyond knows no way to the pod: it answers the host, behind which the pod is.
        let usual = try pod("=default", "ip -4 -o addr show eth0; ip route; ping -c1 -W2 192.0.2.2; cat /etc/resolv.conf")
        #expect(
            usual.output.contains("inet 172.16.28.") && usual.output.contains("default via 172.16.28.1") && usual.output.contains(" 0% packet loss"), "\(usual)"
        )
        #expect(try pod("", "ip -4 -o addr show eth0").output.contains("inet 172.16.28."))
        let restricted = try pod("=default-restricted", "ip -4 -o addr show eth0; ip route; ping -c1 -W2 192.0.2.2 2>&1; ping -c1 -W2 172.31.0.1")
        #expect(restricted.output.contains("inet 172.31.") && !restricted.output.contains("default via"), "\(restricted)")
        #expect(restricted.output.contains("unreachable") && restricted.output.contains(" 0% packet loss"), "\(restricted)")
        let several = try pod("=default-restricted,\(network):IP=10.99.7.55", "ip -4 -o addr; ip route; ping -c1 -W2 192.0.2.2; cat /etc/resolv.conf")
        #expect(several.output.contains("eth0    inet 172.31.") && several.output.contains("eth1    inet 10.99.7.55/24"), "\(several)")
        #expect(several.output.contains("default via 10.99.7.1 dev eth1") && several.output.contains("nameserver 192.0.2.53"), "\(several)")
        let all = try pod("=all", "ip -4 -o addr")
        for interface in ["eth0    inet 10.99.7.", "eth1    inet 172.16.28.", "eth2    inet 172.31."] { #expect(all.output.contains(interface), "\(all)") }
        for bad in ["host,default", "all:IP=1.2.3.4", "default,default", "none,\(network)"] { #expect(try pod("=" + bad, "true").status == 254, "\(bad)") }
        _ = try place.shell("for u in $(ls store/pods/run); do d2a rm $u; done")
        // A file of the name takes the place of the built-in one.
        try
            #"{"name":"default","type":"bridge","bridge":"\#(network.prefix(10))","ipam":{"type":"host-local","subnet":"10.99.8.0/24","dataDir":"\#(place.path)/leases"}}"#
            .write(toFile: place.path + "/net.d/20-default.conf", atomically: true, encoding: .utf8)
        #expect(try pod("=default", "ip -4 -o addr show eth0").output.contains("inet 10.99.8."))
        try expectNothingLeft()
    }

    @Test func networksAreListed() throws {
        let outcome = try shell(
            """
            d2a run --uuid-file-save=uuid --net=\(network),default-restricted \(id) -- sh -c "echo up; sleep 100" >up & run=$!
            for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done
            d2a list --no-legend | grep -o "\(network):.*"; d2a status $(cat uuid) | grep networks; d2a stop --force $(cat uuid) >/dev/null; wait $run; d2a rm --uuid-file=uuid
            """)
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.count == 3 && lines[0].hasPrefix("\(network):ip4=10.99.7.") && lines[0].contains(", default-restricted:ip4=172.31."), "\(outcome)")
        #expect(lines.count == 3 && lines[1] == "networks=" + lines[0], "\(outcome)")
        try expectNothingLeft()
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/lib/cni/bandwidth") && Lab.has("tc"))) func bandwidthIsLimited() throws {
        func pod(_ file: String, apps: Int, app: String, pod: String) throws {
            let apps = (0..<apps).map {
                #"{"name":"a\#($0)","image":{"id":"\#(id)"},"app":{"exec":["/bin/sh","-c","echo up; sleep 3"],"user":"0","group":"0","isolators":[\#(app)]}}"#
            }
            try #"{"acKind":"PodManifest","acVersion":"0.8.11","isolators":[\#(pod)],"apps":[\#(apps.joined(separator: ","))]}"#
                .write(toFile: place.path + "/" + file, atomically: true, encoding: .utf8)
        }
        func limit(_ amount: String) -> String { #"{"name":"resource/network-bandwidth","value":{"default":true,"limit":"\#(amount)"}}"# }
        try pod("pod.json", apps: 1, app: limit("1M"), pod: limit("2M"))
        // Both ways: what the pod gets leaves the host's end, what it sends is led through a device of its own.
        let limited = try shell(
            """
            d2a run --rm --net=\(network) --pod-manifest=\(place.path)/pod.json >up & run=$!
            for i in $(seq 400); do [ -s up ] && break; sleep 0.05; done; tc qdisc show | grep -o "tbf.*rate [^ ]*" | sed "s/.*rate //"; wait $run; ip -o link show type ifb
            """)
        #expect(limited.output == "8Mbit\n8Mbit\n" && limited.errors == "", "\(limited)")
        try pod("pod.json", apps: 2, app: limit("1M"), pod: limit("2M"))
        let shared = try shell("d2a run --rm --net=\(network) --pod-manifest=\(place.path)/pod.json")
        #expect(
            shared.errors.contains("resource/network-bandwidth of the app a1, which shares its networks") && !shared.errors.contains("of the pod"), "\(shared)")
        let host = try shell("d2a run --rm --strict --pod-manifest=\(place.path)/pod.json")
        #expect(host.status == 254 && host.errors.contains("resource/network-bandwidth of the pod, on the host"), "\(host)")
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
        // On the host's network names resolve as on the host, without any option.
        let servers = try String(contentsOfFile: "/etc/resolv.conf", encoding: .utf8).split(separator: "\n").filter { $0.hasPrefix("nameserver") }
        let usual = try files("")
        for server in servers { #expect(usual.output.contains(server), "\(usual)") }
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
