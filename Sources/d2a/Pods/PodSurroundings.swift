import AppC
import ArgumentParser
import CLinux
import Diagnostics
import Files
import Glibc
import Isolation
import Network
import Pod
import Program
import RuntimeBundle
import Stage1

/// What a run of a pod takes from the machine: networks and control groups. They are made before it, written down in its directory,
/// and given back after it, or by `d2a gc`.
struct PodSurroundings {
    let networks: PodNetworks?
    private let choice: NetworkChoice
    private let options: RuntimeOptions
    private let insecure: InsecureOptions
    private let pod: PodDirectory
    private var groups: PodControlGroups
    private let isolation: Isolation
    private let isolations: [Isolation]
    /// Those of the apps.
    private let names: [String]
    private var unenforced: [String] = []
    /// Devices that are volumes, as the controller of devices names them; nil where there can be no rule.
    private let devices: [String]?

    /// - Parameter apps: as they are run, in the order of the manifest.
    init(_ pod: PodDirectory, _ manifest: PodManifest, _ apps: [App], _ options: RuntimeOptions, _ insecure: InsecureOptions) throws {
        (self.pod, self.options, self.insecure) = (pod, options, insecure)
        isolation = try Isolation(manifest.isolators ?? [], pod: true)
        isolations = try apps.map { try Isolation($0.isolators ?? []) }
        names = (manifest.apps ?? []).map(\.name)
        choice = try options.networks(withPorts: manifest.ports?.isEmpty == false)
        let ports = try ForwardedPort.all(manifest.ports ?? [], of: apps)
        devices = Self.devices(of: manifest)
        let list = try pod.directory.file("cgroups", O_WRONLY | O_CREAT | O_APPEND, mode: 0o640)
        groups = PodControlGroups(.current(isRoot: !UserNamespace.isCurrent), uuid: pod.uuid) { try list.write($0 + "\n") }
        switch choice {
        case .host, .none: networks = nil
        default:
            do {
                networks = try .make(
                    choice, ports: ports, bandwidth: PodNetworks.limitsBandwidth ? Self.bandwidth(isolation, isolations) : nil, uuid: pod.uuid,
                    pod: pod.directory)
            } catch NetworkError.namespace(_, _, let code) where [EACCES, EPERM].contains(code) && UserNamespace.isCurrent { throw NetworkError.needsRoot }
        }
        do {
            // Who shares the host's devices is not to be held to its own, and other runtimes make the rules themselves.
            let makesGroups = options.isBuiltin || options.stage1 == .chroot
            try groups.makePod(
                isolation.resources, appsHaveLimits: makesGroups && isolations.contains { !$0.resources.isEmpty }, devices: options.isBuiltin ? devices : nil)
        } catch {
            remove()
            throw error
        }
    }

    /// What an app may do, by its isolators.
    mutating func limits(ofApp index: Int, named name: String, filters: Directory) throws -> AppLimits {
        let isolation = isolations[index]
        var limits = AppLimits(isolation)
        if insecure.contains(.capabilities) { limits.bounding = .own() }
        let kind = options.stage1 ?? .builtin
        let labels = isolation.labels(inPod: self.isolation).filter { module, _ in
            if kind != .chroot, module.isActive { return true }
            unenforced.append("\(module.isolator) of the app \(name), \(kind == .chroot ? "with --stage1=chroot" : "on a kernel without it")")
            return false
        }
        switch kind {
        case .builtin:
            limits.setLabels(labels)
            if !insecure.contains(.seccomp) {
                limits.filter = try SystemCallFilter.program(isolation.systemCalls, capabilities: limits.bounding, cache: filters)
            }
            limits.cgroups = try groups.makeApp(name, isolation.resources)
        case .chroot:
            limits.cgroups = try groups.makeApp(name, isolation.resources)
            unenforced += isolation.isolatorsOfSandbox.map { "\($0) of the app \(name), with --stage1=chroot" }
        case .runc, .crun:
            if !insecure.contains(.seccomp) {
                let (rules, isWider) = try isolation.systemCalls.rulesForRuntime(limits.bounding)
                limits.runtime.seccomp = rules
                if isWider { unenforced.append("os/linux/seccomp-…-set of the app \(name), for the calls that \(kind.rawValue) itself makes,") }
            }
            let (group, resources) = try groups.leave(name, isolation.resources)
            limits.runtime.group = group
            limits.runtime.resources = RuntimeConfiguration.Resources(resources, devices: devices)
            for (module, label) in labels {
                switch module {
                case .selinux: limits.runtime.selinuxContext = label
                case .appArmor: limits.runtime.appArmorProfile = label
                }
            }
        }
        unenforced += isolation.unenforced.map { "\($0) of the app \(name)" }
        return limits
    }

    /// Tells the person which isolators mean nothing here (appc spec `ace.md#isolators`).
    /// - Throws: `IsolationError/unenforced(_:)` with `--strict`.
    func tellUnenforced() throws {
        var all = unenforced + isolation.unenforced.map { "\($0) of the pod" } + groups.unenforced + unlimited()
        if choice == .host { all += isolation.sysctl.filter { $0.key.hasPrefix("net.") }.map { "os/unix/sysctl \($0.key) of the pod, on the host's network" } }
        if all.isEmpty { return }
        if UserNamespace.isCurrent, !groups.unenforced.isEmpty {
            complain("d2a: limits take a control group that is yours: systemd-run --user --scope -p Delegate=yes d2a run …, or run it with sudo\n")
        }
        if options.strict { throw IsolationError.unenforced(all) }
        for name in all { complain("d2a: warning: the isolator \(printable(name)) is not enforced\n") }
    }

    /// The pod's, and the app's where that has its pod to itself: several share their networks.
    private static func bandwidth(_ pod: Isolation, _ apps: [Isolation]) -> Int64? {
        ([pod] + (apps.count == 1 ? apps : [])).compactMap(\.networkBandwidth).min()
    }

    /// Whose limit of bandwidth means nothing here.
    private func unlimited() -> [String] {
        let hasNetworks = choice != .host && (choice == .none || PodNetworks.limitsBandwidth)
        let limitless = zip(isolations, names).filter { $0.0.networkBandwidth != nil && !(hasNetworks && isolations.count == 1) }.map { "the app \($0.1)" }
        let pod = isolation.networkBandwidth != nil && !hasNetworks ? ["the pod"] : []
        let reason = choice == .host ? ", on the host's network" : hasNetworks ? ", which shares its networks with others" : ", without the plugin bandwidth"
        return (limitless + pod).map { "resource/network-bandwidth of \($0)\(reason)" }
    }

    func settings(_ pod: PodDirectory, in data: Directory) throws -> PodSettings {
        var settings = PodSettings(hostname: options.hostname ?? "d2a-\(pod.uuid.prefix(8))")
        settings.stage1 = options.stage1 ?? .builtin
        settings.hostIPC = options.ipc == .parent
        settings.hidesKernelPaths = !insecure.contains(.paths)
        // What is to be told at the end is read from the pod's directory.
        settings.removeAtEnd = options.remove && options.statusFd == nil
        settings.stopTimeout = options.stopTimeout * 1000
        settings.cgroups = groups.joined
        // Who isn't root has nothing but such users.
        if options.privateUsers { try pod.chooseUsers(in: data) }
        if let first = pod.firstUser {
            guard options.isBuiltin else { throw ValidationError("--private-users is for the built-in stage1") }
            settings.users = try PodUsers(first: first, ownOnDisk: pod.isShifted)
        }
        settings.parameters = isolation.sysctl.filter { choice != .host || !$0.key.hasPrefix("net.") }
        // The network isn't those users', who could use neither its lower ports nor ping.
        if settings.users != nil, choice != .host {
            settings.parameters =
                [(key: "net.ipv4.ip_unprivileged_port_start", value: "0"), (key: "net.ipv4.ping_group_range", value: "0 2147483647")] + settings.parameters
        }
        settings.network =
            switch choice {
            case .host: .host
            case .none: .none
            default: .joined(try OpenFile.open(networks?.namespace ?? ""))
            }
        func hostFile(_ path: String) -> String? {
            (try? OpenFile.open(path)).flatMap { try? $0.readAll(limit: 1 << 20) }.map { String(decoding: $0, as: UTF8.self) }
        }
        let resolver = try ResolverChoice(servers: options.dns, search: options.dnsSearch, options: options.dnsOpt, domain: options.dnsDomain ?? "")
        // A pod without a network has no name servers either, but those it is told.
        if choice != .none || resolver != .automatic {
            settings.resolver = resolver.file(
                networks: networks, host: hostFile("/etc/resolv.conf"), upstream: hostFile("/run/systemd/resolve/resolv.conf"))
        }
        let hosts = try HostsChoice(entries: options.hostsEntry)
        settings.hosts = hosts.file(
            hostname: settings.hostname, host: choice == .host || hosts == .host ? hostFile("/etc/hosts") : nil, address: networks?.addresses.first)
        return settings
    }

    /// Gives everything back.
    func remove() {
        PodControlGroups.remove(groups.directories)
        do { try networks?.remove(from: pod.directory) } catch let error as any DiagnosedError {
            complain(error.diagnosis.lines(program: "d2a"))
        } catch { complain("d2a: \(error)\n") }
    }

    /// Gives back what a pod that nobody runs any more holds.
    static func release(_ pod: PodDirectory) throws {
        try PodNetworks.of(pod.directory)?.remove(from: pod.directory)
        let left = PodControlGroups.remove(pod.controlGroups())
        // The list must not go before them.
        if let busy = left.first { throw IsolationError.controlGroup(path: busy, what: "remove", code: EBUSY) }
    }

    /// Removes a pod that is to go at its end. Where everything went well it has done that itself.
    static func discard(_ pod: PodDirectory, _ options: RuntimeOptions) {
        if options.remove, (try? release(pod)) != nil { try? pod.remove() }
    }

    /// Devices that are volumes; nil where a volume is a directory of devices, and so no rule can be made.
    private static func devices(of manifest: PodManifest) -> [String]? {
        let volumes = (manifest.volumes ?? []) + (manifest.apps ?? []).flatMap { ($0.mounts ?? []).compactMap(\.appVolume) }
        if volumes.contains(where: { $0.source.map { $0 == "/dev" || $0.hasPrefix("/dev/") && OpenFile.isFile($0) == false } ?? false }) { return nil }
        return volumes.compactMap { volume in
            var status = stat()
            guard let source = volume.source, stat(source, &status) == 0 else { return nil }
            let kind = status.st_mode & S_IFMT
            guard kind == S_IFCHR || kind == S_IFBLK else { return nil }
            let device = UInt64(status.st_rdev)
            return "\(kind == S_IFCHR ? "c" : "b") \(system_major(device)):\(system_minor(device)) \(volume.readOnly == true ? "rm" : "rwm")"
        }
    }
}

extension PodDirectory {
    /// Its control groups, in the order of their making.
    func controlGroups() -> [String] {
        let list = (try? directory.file("cgroups").readAll(limit: 1 << 20)) ?? []
        return list.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Gives the pod users of its own, if it has none yet. Who isn't root has nothing but such.
    func chooseUsers(in data: Directory) throws {
        if UserNamespace.isCurrent || firstUser != nil { return }
        try setFirstUser(PodUsers.free(taken: Set(PodDirectory.all(in: data).compactMap(\.firstUser))))
    }
}

extension RuntimeOptions {
    fileprivate var isBuiltin: Bool { stage1 ?? .builtin == .builtin }

    /// The host's network, as it is there on every machine and costs no time; whoever forwards ports wants a network of the pod's own.
    fileprivate func networks(withPorts ports: Bool) throws -> NetworkChoice {
        let choice = try net.map { try NetworkChoice(argument: $0) } ?? (ports && stage1 != .chroot ? .default : .host)
        if ports, choice == .host || choice == .none { throw NetworkError.noForwarding(network: choice == .host ? "host" : "none") }
        if stage1 == .chroot, choice != .host { throw ValidationError("--stage1=chroot has the host's network only") }
        if mdsRegister, choice == .none { throw ValidationError("--mds-register needs a network: the pod has none (--net=none)") }
        return choice
    }
}

extension AppLimits {
    init(_ isolation: Isolation) {
        self.init(bounding: isolation.capabilities)
        noNewPrivileges = isolation.noNewPrivileges
        oomScoreAdjust = isolation.oomScoreAdjust
    }

    mutating func setLabels(_ labels: [(module: SecurityModule, label: String)]) { self.labels = labels.map { $0.module.request($0.label) } }
}

extension RuntimeConfiguration.Resources {
    /// - Parameter devices: those that may be used besides the usual ones (`c 10:200 rwm`); nil for no rule.
    fileprivate init(_ limits: ResourceLimits, devices: [String]?) {
        var rules = [RuntimeConfiguration.DeviceRule(allow: true)]
        if let devices {
            // Making any is allowed, since using it isn't.
            rules =
                RuntimeConfiguration.deviceRules + ["c", "b"].map { RuntimeConfiguration.DeviceRule(allow: true, type: $0, access: "m") }
                + devices.compactMap(RuntimeConfiguration.DeviceRule.init)
        }
        self.init(devices: rules)
        if let memory = limits.memory { self.memory = Memory(limit: memory) }
        if let (used, period) = limits.quota { cpu = CPU(quota: used, period: UInt64(period)) }
        if limits.blockBandwidth != nil || limits.blockOperations != nil {
            let devices = BlockDevice.all()
            func throttles(_ limit: Int64?) -> [BlockIO.Throttle]? {
                limit.map { limit in devices.map { BlockIO.Throttle($0.major, $0.minor, rate: UInt64(limit)) } }
            }
            blockIO = BlockIO(bytes: throttles(limits.blockBandwidth), operations: throttles(limits.blockOperations))
        }
        if let shares = limits.shares { cpu = CPU(shares: UInt64(shares), quota: cpu?.quota, period: cpu?.period) }
    }
}

extension RuntimeConfiguration.DeviceRule {
    /// `c 10:200 rwm`
    fileprivate init?(_ text: String) {
        let words = text.split { " :".contains($0) }
        guard words.count == 4, let major = Int(words[1]), let minor = Int(words[2]) else { return nil }
        self.init(allow: true, type: String(words[0]), major: major, minor: minor, access: String(words[3]))
    }
}
