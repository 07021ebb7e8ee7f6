import Observation
import Testing

@testable import Compare

/// A rule explains what it expects and nothing else: whatever is changed of a side by one value is unexpected.
@Suite struct ProcessComparisonTests {
    private static let common = """
        "arguments":["/app"],"directory":"/","users":[0,0,0],"groups":[0,0,0],"umask":"0022","noNewPrivileges":"0","seccomp":"2","ignoredSignals":"0",
        "blockedSignals":"0","capabilities":{"inheritable":"0","permitted":"a80425fb","effective":"a80425fb","bounding":"a80425fb","ambient":"0"},"secureBits":0,
        "domainName":"(none)","descriptors":{"0":"/dev/null","1":"pipe","2":"pipe"},"terminal":[false,false,false],"personality":0,"leadsSession":true,"niceness":0
        """

    private static func mount(_ point: String, _ type: String, _ options: String, _ propagates: Bool = false) -> String {
        #"{"point":"\#(point)","type":"\#(type)","options":"\#(options),relatime","propagates":\#(propagates),"source":"x","superOptions":"rw"}"#
    }
    private static let hosts = String(RuleTable.dockerHosts.flatMap { $0 == "\n" ? "\\n" : $0 == "\t" ? "\\t" : String($0) })
    private static let id = "0123456789ab" + String(repeating: "c", count: 52)

    private static func decode(_ members: String) throws -> Surroundings { try Surroundings(Array("{\(common),\(members)}".utf8)) }

    private static func docker() throws -> Surroundings {
        try decode(
            """
            "environment":["PATH=/bin","HOSTNAME=0123456789ab","HOME=/root"],"supplementaryGroups":[0],"limits":{"nofile":"1048576 1048576","core":"0 0"},
            "namespaces":{"cgroup":"cgroup:[1]","pid":"pid:[20]","user":"user:[3]"},"controlGroups":"2:memory:/docker/\(id)\\n0::/docker/\(id)\\n",
            "controlGroupLimits":{"memory/memory.limit_in_bytes":"9223372036854771712","cpuset/cpuset.cpus":"0-1"},
            "mounts":[\(mount("/", "overlay", "rw", true)),\(mount("/dev", "tmpfs", "rw,nosuid")),\(mount("/sys/fs/cgroup", "tmpfs", "rw,nosuid,nodev,noexec")),
            \(mount("/sys/fs/cgroup/memory", "cgroup", "ro,nosuid,nodev,noexec")),\(mount("/etc/resolv.conf", "ext4", "rw")),\(mount("/data", "ext4", "rw", true))],
            "devices":[{"path":"/dev/null","mode":"020666","owner":"0:0","device":"1:3"},{"path":"/dev/core","mode":"120777","owner":"0:0","target":"/proc/kcore"}],
            "kernelPaths":{"/proc/interrupts":"shown","/proc/keys":"hidden","/proc/sys":"read-only"},"hostName":"0123456789ab",
            "files":{"/etc/hostname":"0123456789ab\\n","/etc/hosts":"\(hosts)","/etc/resolv.conf":"nameserver 1.2.3.4\\n"},"oomScoreAdjust":"0",
            "securityLabel":"docker-default (enforce)","process":1
            """)
    }

    private static func rocket() throws -> Surroundings {
        try decode(
            """
            "environment":["PATH=/bin","HOME=/root","USER=root","LOGNAME=root","SHELL=/bin/sh","AC_APP_NAME=made","container=d2a"],"supplementaryGroups":[0],
            "limits":{"nofile":"1024 4096","core":"0 0"},"namespaces":{"cgroup":"cgroup:[10]","pid":"pid:[21]","user":"user:[3]"},
            "controlGroups":"2:memory:/\\n0::/\\n","controlGroupLimits":{},
            "mounts":[\(mount("/", "overlay", "rw,nodev")),\(mount("/dev", "tmpfs", "rw,nosuid,nodev")),\(mount("/dev/null", "tmpfs", "rw,nosuid")),\(mount("/data", "ext4", "rw,nodev"))],
            "devices":[{"path":"/dev/null","mode":"020666","owner":"0:0","device":"1:3"},{"path":"/dev/console","mode":"020666","owner":"0:0","device":"1:3"}],
            "kernelPaths":{"/proc/interrupts":"hidden","/proc/keys":"hidden","/proc/sys":"read-only"},"hostName":"d2a-89abcdef",
            "files":{"/etc/hostname":"d2a-89abcdef\\n","/etc/hosts":"\(hosts)127.0.1.1\\td2a-89abcdef\\n"},"oomScoreAdjust":"-17","securityLabel":"unconfined","process":2
            """)
    }

    private static func scene() throws -> ProcessScene {
        var host = try rocket()
        (host.namespaces, host.files) = (["cgroup": "cgroup:[1]", "pid": "pid:[2]", "user": "user:[3]"], ["/etc/resolv.conf": "nameserver 1.2.3.4\n"])
        return ProcessScene(
            runner: .docker, settings: try DockerSettings(Array(#"{"config":{"Cmd":["/app"],"Volumes":{"/data":{}}}}"#.utf8)), conditions: RunConditions(),
            arguments: [],
            appName: "made", userName: "root", imageResolver: nil,
            host: HostView(surroundings: host, terminalKind: "vt100", hasUnifiedGroups: false, processors: "0-1", isRootless: false))
    }

    private static func compare(_ left: Surroundings, _ right: Surroundings, _ runs: (RunRecord, RunRecord)? = nil) throws -> Part {
        ProcessComparison.compare(
            ProcessSide(surroundings: left, run: runs?.0), ProcessSide(surroundings: right, run: runs?.1), try scene(),
            into: Part(.process, left: "", right: ""))
    }

    private func unexpected(_ part: Part) -> [Difference] { part.differences.filter { $0.rule == "process-unexpected" } }

    @Test func whatIsAsItShouldBeIsExplained() throws {
        let part = try Self.compare(Self.docker(), Self.rocket())
        #expect(unexpected(part) == [] && !part.differs)
        #expect(part.total > 25)
        #expect(part.matrices.map(\.id) == ["capabilities", "namespaces"] && part.matrices[0].rows.count == 14)
        #expect(part.matrices[1].rows.first { $0.name == "cgroup" }?.cells == ["host", "own"])
    }

    @Test func whatIsOtherwiseIsNot() throws {
        typealias Change = (inout Surroundings) -> Void
        func environment(_ entry: String) -> Change {
            { side in side.environment = side.environment.filter { !$0.hasPrefix(entry.prefix { $0 != "=" } + "=") } + [ProbeText(entry)] }
        }
        func mount(_ point: String, _ options: String) -> Change {
            { side in
                side.mounts = side.mounts.map {
                    var copy = $0; if copy.point == ProbeText(point) { copy.options = options }; return copy
                }
            }
        }
        let left: [(String, Change)] = [
            ("hostname", environment("HOSTNAME=other")), ("group", { $0.supplementaryGroups = [0, 7] }),
            ("privileges", { $0.capabilities.bounding = "a80425ff" }),
            ("filter", { $0.seccomp = "0" }), ("pid", { $0.namespaces["pid"] = "pid:[2]" }),
            ("cgroup path", { $0.controlGroups = "2:memory:/docker/other\n" }), ("memory", { $0.controlGroupLimits["memory/memory.limit_in_bytes"] = "1000" }),
            ("processors", { $0.controlGroupLimits["cpuset/cpuset.cpus"] = "0" }), ("number", { $0.process = 7 }), ("name", { $0.hostName = "0123456789xx" }),
            ("hosts", { $0.files["/etc/hosts"] = "127.0.0.1 localhost\n" }), ("resolver", { $0.files["/etc/resolv.conf"] = "nameserver 5.6.7.8\n" }),
            ("cgroups writable", mount("/sys/fs/cgroup/memory", "rw,nosuid,nodev,noexec")), ("root", mount("/", "ro")),
            ("core", { $0.devices[1].target = "/elsewhere" }), ("oom", { $0.oomScoreAdjust = "5" }), ("label", { $0.securityLabel = "other (enforce)" }),
            ("keys", { $0.kernelPaths["/proc/keys"] = .shown }), ("umask", { $0.umask = "0077" }), ("signals", { $0.blockedSignals = "200" }),
            ("limit of other things", { $0.limits["core"] = nil }),
        ]
        let right: [(String, Change)] = [
            ("user", environment("USER=other")), ("shell", environment("SHELL=/bin/bash")), ("app", environment("AC_APP_NAME=other")),
            ("container", environment("container=rkt")), ("more", environment("MORE=x")), ("home", environment("HOME=/")),
            ("groups", { $0.groups = [1, 1, 1] }),
            ("privileges", { $0.capabilities.effective = "a80425fa" }), ("nothing new", { $0.noNewPrivileges = "1" }),

            ("pid", { $0.namespaces["pid"] = "pid:[2]" }), ("cgroup path", { $0.controlGroups = "2:memory:/other\n" }),
            ("limit", { $0.limits["nofile"] = "1 1" }),
            ("number", { $0.process = 3 }), ("name", { $0.hostName = "other" }), ("hosts", { $0.files["/etc/hosts"] = "127.0.0.1 localhost\n" }),
            ("resolver", { $0.files["/etc/resolv.conf"] = "nameserver 1.2.3.5\n" }), ("root", mount("/", "rw,nosuid,nodev")),
            ("device", mount("/dev/null", "rw")),
            ("volume", mount("/data", "ro,nodev")), ("console", { $0.devices[1].device = "5:1" }), ("oom", { $0.oomScoreAdjust = "-1000" }),
            ("label", { $0.securityLabel = "other" }), ("interrupts", { $0.kernelPaths["/proc/interrupts"] = .readOnly }),
            ("sys", { $0.kernelPaths["/proc/sys"] = .shown }),
            ("argument", { $0.arguments.append("x") }), ("open", { $0.descriptors["7"] = "/etc/shadow" }), ("device more", { $0.devices[0].device = "1:5" }),
        ]
        for (name, change) in left {
            var changed = try Self.docker()
            change(&changed)
            let part = try Self.compare(changed, Self.rocket())
            #expect(!unexpected(part).isEmpty && part.differs, "Docker's side: \(name)")
        }
        for (name, change) in right {
            var changed = try Self.rocket()
            change(&changed)
            let part = try Self.compare(Self.docker(), changed)
            #expect(!unexpected(part).isEmpty && part.differs, "d2a's side: \(name)")
        }
    }

    @Test func endsAndOutputsAreCompared() throws {
        func record(_ status: Int32?, signal: Int32? = nil, stop: RunRecord.Stop? = nil, output: String = "", refusal: String? = nil) -> RunRecord {
            var record = RunRecord()
            (record.status, record.signal, record.stop, record.refusal) = (status, signal, stop, refusal)
            (record.output.beginning, record.output.count, record.output.sha256) = (Array(output.utf8), output.utf8.count, output)
            return record
        }
        func rules(_ left: RunRecord, _ right: RunRecord) throws -> Set<String> {
            let known = Set(try Self.compare(Self.docker(), Self.rocket()).differences.map(\.rule))
            return Set(try Self.compare(Self.docker(), Self.rocket(), (left, right)).differences.map(\.rule)).subtracting(known)
        }
        #expect(try rules(record(3, output: "x"), record(3, output: "x")) == [])
        #expect(try rules(record(3), record(4)) == ["process-unexpected"])
        #expect(try rules(record(0, output: "x"), record(0, output: "y")) == ["process-unexpected"])
        // Of those that didn't end by themselves one may have written more.
        #expect(try rules(record(0, stop: .ended, output: "x"), record(0, stop: .ended, output: "xx")) == [])
        #expect(try rules(record(0, stop: .ended, output: "x"), record(0, stop: .ended, output: "yx")) == ["process-unexpected"])
        #expect(try rules(record(137, stop: .killed), record(143, signal: 15, stop: .ended)) == ["stop-of-process-1"])
        #expect(try rules(record(137, stop: .killed), record(0, stop: .ended)) == ["process-unexpected"])
        #expect(try rules(record(143, signal: 15, stop: .ended), record(137, stop: .killed)) == ["process-unexpected"])
        #expect(try rules(record(nil, refusal: "no"), record(nil, refusal: "never")) == [])
        #expect(try rules(record(nil, refusal: "no"), record(0)) == ["process-unexpected"])
        #expect(try rules(record(1), record(nil, refusal: "can't run /app: it is no program for this machine")) == ["process-unexpected"])
    }
}
