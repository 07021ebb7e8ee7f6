import Observation

/// A rule, and which differences it explains: both values are checked, so that a side that does something else is found out.
struct ProcessRule {
    let rule: Rule
    /// - Parameters: the difference, both sides, and what is known beforehand.
    let explains: @Sendable (ProcessFact, ProcessScene, Surroundings?, Surroundings?) -> Bool

    init(
        _ id: String, _ title: String, docker: String, rocket: String, matters: Bool = false,
        _ explains: @escaping @Sendable (ProcessFact, ProcessScene, Surroundings?, Surroundings?) -> Bool
    ) {
        rule = Rule(id, .process, title, docker: docker, rocket: rocket, matters: matters)
        self.explains = explains
    }
}

extension RuleTable {
    /// What explains a difference where no rule does.
    static let unexpectedProcess = Rule(
        "process-unexpected", .process, "something that no rule explains", docker: "does one thing", rocket: "does another", matters: true)

    static let process: [Rule] = processRules.map(\.rule) + [unexpectedProcess]

    /// The first that explains a difference is its reason.
    static let processRules: [ProcessRule] = podmanRules + words + identity + isolation + files + endings

    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    // MARK: Arguments and environment

    private static let words = [
        ProcessRule(
            "process-command-string", "an ENTRYPOINT or CMD that is a string, not a list",
            docker: "takes it for the name of a program, blanks and all", rocket: "runs it by /bin/sh -c, as the shell form of a Dockerfile is meant",
            matters: true
        ) { fact, scene, _, _ in
            guard scene.settings.entrypointIsString || scene.settings.commandIsString else { return false }
            let (docker, rocket) = (scene.settings.words(scene.arguments), scene.settings.shellWords(scene.arguments))
            switch fact.aspect {
            case .arguments:
                return fact.left == ProcessFacts.list(docker.map { ProbeText($0) }) && fact.right == ProcessFacts.list(rocket.map { ProbeText($0) })
            case .start:
                guard let program = docker.first, fact.rightBegins("started"), let reason = fact.left.map({ String(decoding: $0, as: UTF8.self) }) else {
                    return false
                }
                return reason.contains(Refusals.notFound(program)) || reason.contains(Refusals.noFile(program))
            default: return false
            }
        },
        ProcessRule(
            "env-hostname", "the variable HOSTNAME", docker: "sets it to the container's ID", rocket: "doesn't set it: gethostname(2) tells"
        ) { fact, _, left, _ in fact.aspect == .environment && fact.isNamed("HOSTNAME") && fact.left == left?.hostName.bytes && fact.right == nil },
        ProcessRule(
            "env-user", "the variables USER and LOGNAME", docker: "sets neither", rocket: "sets both to the user's name, as the appc spec wants"
        ) { fact, scene, _, right in
            guard fact.aspect == .environment, fact.isNamed("USER", "LOGNAME"), fact.left == nil, let user = right?.users.first else { return false }
            return fact.isRight(scene.userName ?? String(user))
        },
        ProcessRule("env-shell", "the variable SHELL", docker: "doesn't set it", rocket: "sets it to /bin/sh, as the appc spec wants") { fact, _, _, _ in
            fact.aspect == .environment && fact.isNamed("SHELL") && fact.left == nil && fact.isRight("/bin/sh")
        },
        ProcessRule("env-app-name", "the variable AC_APP_NAME", docker: "doesn't set it", rocket: "sets it to the app's name, as the appc spec wants") {
            fact, scene, _, _ in fact.aspect == .environment && fact.isNamed("AC_APP_NAME") && fact.left == nil && fact.isRight(scene.appName)
        },
        ProcessRule("env-container", "the variable container", docker: "doesn't set it", rocket: "sets it to d2a, as systemd's container interface wants") {
            fact, _, _, _ in fact.aspect == .environment && fact.isNamed("container") && fact.left == nil && fact.isRight("d2a")
        },
        ProcessRule("env-terminal", "the variable TERM", docker: "says xterm, whatever the terminal is", rocket: "says what the person's terminal is") {
            fact, scene, _, _ in
            fact.aspect == .environment && fact.isNamed("TERM") && scene.conditions.terminal && fact.isLeft("xterm") && fact.isRight(scene.host.terminalKind)
        },
        ProcessRule(
            "process-env-without-value", "an entry of Env without a value", docker: "takes it as a wish that the default of the name is not set",
            rocket: "ignores it, and sets the default", matters: true
        ) { fact, scene, _, _ in
            guard fact.aspect == .environment, scene.settings.environment.contains(fact.nameText), fact.left == nil else { return false }
            return fact.isNamed("PATH") && fact.isRight(defaultPath) || fact.isNamed("TERM") && fact.isRight(scene.host.terminalKind)
        },
    ]

    // MARK: Users and rights

    private static let identity = [
        ProcessRule(
            "limit-inherited", "a resource limit", docker: "gives what its daemon has", rocket: "gives what whoever runs d2a has"
        ) { fact, scene, _, _ in
            guard fact.aspect == .limits, scene.runner == .docker, fact.left != nil else { return false }
            return fact.right == scene.host.surroundings.limits[fact.nameText].map { Array($0.utf8) }
        },
        ProcessRule(
            "oom-score-inherited", "how readily the kernel ends it where memory is short", docker: "sets 0", rocket: "leaves what whoever runs d2a has"
        ) { fact, scene, _, _ in
            fact.aspect == .process && fact.isNamed("oom_score_adj") && fact.isLeft("0") && fact.right == scene.host.surroundings.oomScoreAdjust?.bytes
        },
        ProcessRule("security-label", "the profile of AppArmor", docker: "runs it under docker-default", rocket: "leaves what whoever runs d2a has") {
            fact, scene, _, _ in
            fact.aspect == .process && fact.isNamed("security label") && fact.isLeft("docker-default (enforce)")
                && fact.right == scene.host.surroundings.securityLabel?.bytes
        },
    ]

    // MARK: Namespaces, control groups, processes

    private static let isolation = [
        ProcessRule(
            "cgroup-namespace", "the namespace of control groups", docker: "shows the host's where version 1 is in use",
            rocket: "has one of its own: the pod's groups are all that shows"
        ) { fact, scene, _, _ in
            fact.aspect == .namespaces && fact.isNamed("cgroup") && fact.isLeft("host") && fact.isRight("own")
                && (scene.runner != .docker || !scene.host.hasUnifiedGroups)
        },
        ProcessRule("user-namespace", "the namespace of users", docker: "shares the host's", rocket: "has one of its own where d2a isn't root") {
            fact, scene, _, _ in
            fact.aspect == .namespaces && fact.isNamed("user") && scene.host.isRootless && fact.isLeft("host") && fact.isRight("own")
        },
        ProcessRule(
            "cgroup-path", "the paths of /proc/self/cgroup", docker: "shows those of the host, with the container's ID",
            rocket: "shows them from the pod's own group on"
        ) { fact, scene, left, right in
            guard fact.aspect == .controlGroups, let left, let right else { return false }
            let paths = ControlGroupPaths(right.controlGroups)
            return ControlGroupPaths(left.controlGroups).name(left.hostName, of: scene.runner) && !paths.isEmpty && paths.allRoot
        },
        ProcessRule(
            "cgroup-files", "the files of control groups", docker: "shows them; they say that nothing is limited",
            rocket: "shows none: by the appc spec an app's limits are its isolators"
        ) { fact, scene, _, _ in
            fact.aspect == .controlGroupFiles && fact.right == nil && fact.left != nil
                && fact.left == ControlGroupPaths.unlimited(fact.nameText, processors: scene.host.processors).map { Array($0.utf8) }
        },
        ProcessRule(
            "process-number", "the number of the program's process", docker: "makes it 1", rocket: "makes it 2: process 1 of a pod is d2a's, which reaps"
        ) {
            fact, _, _, _ in fact.aspect == .process && fact.isNamed("number") && fact.isLeft("1") && fact.isRight("2")
        },
        ProcessRule(
            "host-name", "the host name", docker: "takes the first twelve digits of the container's ID",
            rocket: "takes d2a- and the beginning of the pod's UUID"
        ) { fact, _, left, right in
            guard fact.aspect == .hostName, fact.name.isEmpty, let left = left?.hostName.bytes, let right = right?.hostName.bytes else { return false }
            return left.count == 12 && left.allSatisfy(isHexDigit) && right.starts(with: Array("d2a-".utf8)) && right.count == 12
                && right.dropFirst(4).allSatisfy(isHexDigit)
        },
    ]

    // MARK: Files

    private static let files = [
        ProcessRule(
            "mount-devices", "mounts of devices", docker: "makes devices in /dev", rocket: "mounts each: no other device can be used, even by who may make one"
        ) { fact, _, _, _ in
            fact.aspect == .mounts && fact.isNamed("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/console")
                && fact.left == nil && fact.isRight("tmpfs rw nosuid")
        },
        ProcessRule("mount-nodev", "whether devices work on a mount", docker: "lets them, within the device rules", rocket: "forbids it (nodev)") {
            fact, scene, _, _ in
            guard fact.aspect == .mounts, fact.isNamed("/", "/dev") || scene.settings.volumes.contains(fact.nameText), let left = fact.left,
                let right = fact.right
            else {
                return false
            }
            let words = String(decoding: right, as: UTF8.self).split(separator: " ")
            return words.contains("nodev") && Array(words.filter { $0 != "nodev" }.joined(separator: " ").utf8) == left
        },
        ProcessRule("mount-cgroup", "mounts of control groups", docker: "shows them below /sys/fs/cgroup", rocket: "doesn't") { fact, scene, _, _ in
            guard fact.aspect == .mounts, fact.right == nil else { return false }
            if scene.host.hasUnifiedGroups { return fact.isNamed("/sys/fs/cgroup") && fact.isLeft("cgroup2 ro nosuid nodev noexec") }
            if fact.isNamed("/sys/fs/cgroup") { return fact.isLeft("tmpfs rw nosuid nodev noexec") || fact.isLeft("tmpfs ro nosuid nodev noexec") }
            return fact.nameText.hasPrefix("/sys/fs/cgroup/") && (fact.isLeft("cgroup ro nosuid nodev noexec") || fact.isLeft("cgroup2 ro nosuid nodev noexec"))
        },
        ProcessRule("mount-resolver", "the mount of /etc/resolv.conf", docker: "makes it without a network too", rocket: "makes none without a network") {
            fact, scene, left, _ in
            fact.aspect == .mounts && fact.isNamed("/etc/resolv.conf") && fact.right == nil && left?.files["/etc/resolv.conf"] != nil
                && (fact.left.map { $0.suffix(3) == Array((scene.conditions.readOnlyRoot ? " ro" : " rw").utf8)[...] } ?? false)
        },
        ProcessRule(
            "mount-propagation", "whether mounts that the host makes later show below a mount", docker: "lets them (slave)", rocket: "keeps all mounts private"
        ) { fact, scene, _, _ in
            fact.aspect == .propagation && (fact.isNamed("/") || scene.settings.volumes.contains(fact.nameText)) && fact.isLeft("shared")
                && fact.isRight("private")
        },
        ProcessRule(
            "mount-etc-read-only", "/etc/hosts and /etc/hostname with a read-only root", docker: "makes them read-only too", rocket: "lets them be written to"
        ) { fact, scene, _, _ in
            guard fact.aspect == .mounts, scene.conditions.readOnlyRoot, fact.isNamed("/etc/hosts", "/etc/hostname"), let right = fact.right else {
                return false
            }
            return right.suffix(3) == Array(" rw".utf8)[...] && fact.left == right.dropLast(3) + Array(" ro".utf8)
        },
        ProcessRule("mount-console", "the mount of a terminal on /dev/console", docker: "leaves it as it is under crun", rocket: "forbids programs there") {
            fact, scene, _, _ in
            fact.aspect == .mounts && fact.isNamed("/dev/console") && scene.runner == .crun && scene.conditions.terminal && fact.isLeft("devpts rw")
                && fact.isRight("devpts rw nosuid noexec")
        },
        ProcessRule("device-console", "/dev/console without a terminal", docker: "has none", rocket: "has one that swallows what is written to it") {
            fact, scene, _, _ in
            fact.aspect == .devices && fact.isNamed("/dev/console") && !scene.conditions.terminal && fact.left == nil && fact.isRight("020666 0:0 1:3")
        },
        ProcessRule("device-core", "the link /dev/core", docker: "leads it to /proc/kcore, which is hidden", rocket: "makes none") { fact, _, _, _ in
            fact.aspect == .devices && fact.isNamed("/dev/core") && fact.isLeft("link /proc/kcore") && fact.right == nil
        },
        ProcessRule(
            "kernel-path-hidden", "what the kernel tells of the host", docker: "shows interrupts, the kernel's configuration and its symbols",
            rocket: "hides them"
        ) { fact, _, _, _ in
            fact.aspect == .kernelPaths && fact.isNamed("/proc/interrupts", "/proc/config.gz", "/proc/kallsyms") && fact.isLeft("shown")
                && fact.isRight("hidden")
        },
        ProcessRule("etc-hostname", "/etc/hostname", docker: "writes the container's host name", rocket: "writes the pod's") { fact, _, left, right in
            guard fact.aspect == .files, fact.isNamed("/etc/hostname"), let left, let right else { return false }
            let end = [UInt8(ascii: "\n")]
            return fact.left == left.hostName.bytes + end && fact.right == right.hostName.bytes + end
        },
        ProcessRule(
            "etc-hosts", "/etc/hosts", docker: "names this machine and what IPv6 has", rocket: "names the pod itself too"
        ) { fact, _, _, right in
            guard fact.aspect == .files, fact.isNamed("/etc/hosts"), let left = fact.left, let right else { return false }
            return left == Array(dockerHosts.utf8) && fact.right == left + Array("127.0.1.1\t".utf8) + right.hostName.bytes + [UInt8(ascii: "\n")]
        },
        ProcessRule(
            "etc-resolver", "/etc/resolv.conf without a network", docker: "copies the host's", rocket: "leaves the image's own: there is nobody to ask"
        ) { fact, scene, _, _ in
            fact.aspect == .files && fact.isNamed("/etc/resolv.conf") && fact.left != nil
                && fact.left == scene.host.surroundings.files["/etc/resolv.conf"]?.bytes
                && fact.right == scene.imageResolver
        },
    ]

    static let dockerHosts = """
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::0\tip6-localnet
        ff00::0\tip6-mcastprefix
        ff02::1\tip6-allnodes
        ff02::2\tip6-allrouters

        """

    // MARK: The image's own program

    private static let endings = [
        ProcessRule(
            "process-relative-workdir", "a working directory that is not absolute", docker: "refuses the image", rocket: "takes it from the root",
            matters: true
        ) { fact, scene, _, _ in
            let directory = scene.settings.workingDirectory
            guard fact.aspect == .start, !directory.isEmpty, !directory.hasPrefix("/"), fact.rightBegins("started"), let left = fact.left else { return false }
            let reason = String(decoding: left, as: UTF8.self)
            return reason.contains("the working directory '\(directory)' is invalid, it needs to be an absolute path")
                || reason.contains("Cwd must be an absolute path") || reason.contains("cwd must be an absolute path")
        },
        ProcessRule(
            "process-relative-volume", "a volume whose path is not absolute", docker: "refuses the image", rocket: "takes it from the root", matters: true
        ) { fact, scene, _, _ in
            guard fact.aspect == .start, fact.rightBegins("started"), let left = fact.left.map({ String(decoding: $0, as: UTF8.self) }) else { return false }
            return scene.settings.volumes.contains { !$0.hasPrefix("/") && left.contains("invalid mount path: '\($0)' mount path must be absolute") }
        },
        ProcessRule(
            "stop-of-process-1", "a program that does nothing about the signal by which it is to stop",
            docker: "has to kill it in the end: the kernel spares process 1", rocket: "stops it at once: it isn't process 1", matters: true
        ) { fact, scene, _, _ in
            fact.aspect == .stop && fact.isLeft("was killed: it didn't end when it was told to")
                && fact.isRight("ended by \(scene.conditions.stopSignal.name) itself")
        },
        ProcessRule(
            "exec-failure", "a program that is in the image and can't be run", docker: "starts the container, which ends at once",
            rocket: "says that it never started"
        ) { fact, scene, _, _ in
            guard fact.aspect == .start, let program = scene.settings.words(scene.arguments).first, fact.rightBegins("can't run \(program): ") else {
                return false
            }
            // The runtime's own status, which has changed with its version.
            return [1, 255].contains { status in
                ["exec format error", "no such file or directory"].contains { fact.isLeft("started, and ended with \(status): exec \(program): \($0)") }
            }
        },
    ]
}

private func isHexDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}

/// How runc, also under Docker, says that there is no such program.
enum Refusals {
    static func notFound(_ program: String) -> String { "exec: \"\(program)\": executable file not found in $PATH" }
    static func noFile(_ program: String) -> String { "exec: \"\(program)\": stat \(program): no such file or directory" }
}

/// What `/proc/self/cgroup` says (cgroups(7)): lines `NUMBER:CONTROLLERS:PATH`.
struct ControlGroupPaths {
    private let paths: [String]

    init(_ text: ProbeText) {
        paths = text.text.split(separator: "\n").map { String($0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).last ?? "") }
    }

    var isEmpty: Bool { paths.isEmpty }
    var allRoot: Bool { paths.allSatisfy { $0 == "/" } }

    /// Whether every path ends as that of a container with this host name does, and not all are the root.
    func name(_ hostName: ProbeText, of runner: ContainerRunner) -> Bool {
        guard hostName.bytes.count == 12 else { return false }
        return paths.contains { $0 != "/" }
            && paths.allSatisfy { path in
                // Controllers that are mounted nowhere have no group.
                if path == "/" { return runner != .docker }
                var last = path.split(separator: "/").last.map(String.init) ?? ""
                for prefix in ["docker-", "libpod-", "crun-", "runc-"] where last.hasPrefix(prefix) { last.removeFirst(prefix.count) }
                if last.hasSuffix(".scope") { last.removeLast(6) }
                return last.utf8.count == 64 && last.utf8.allSatisfy(isHexDigit) && last.hasPrefix(hostName.text)
            }
    }

    /// What a file of control groups says where nothing is limited.
    static func unlimited(_ file: String, processors: String) -> String? {
        switch file {
        case "memory.max", "memory.high", "memory.swap.max", "pids.max", "pids/pids.max": "max"
        case "cpu.max": "max 100000"
        case "cpu.weight": "100"
        case "memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes", "memory/memory.memsw.limit_in_bytes": "9223372036854771712"
        case "cpu/cpu.cfs_quota_us": "-1"
        case "cpu/cpu.cfs_period_us": "100000"
        case "cpu/cpu.shares": "1024"
        case "cpuset/cpuset.cpus", "cpuset.cpus.effective": processors
        default: nil
        }
    }
}
