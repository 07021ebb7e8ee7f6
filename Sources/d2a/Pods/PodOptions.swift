import AppC
import ArgumentParser
import Files
import Glibc
import Pod
import Stage1

/// Options of one app, after its image.
struct AppOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Run this program in place of the image's.", valueName: "program")) var exec: String?
    @Option(help: ArgumentHelp("Call the app so. (default: the last part of the image's name)", valueName: "name")) var name: String?
    @Option(help: ArgumentHelp("Run as this user of the image's: a name, a number, or a file whose owner it is.", valueName: "user")) var user: String?
    @Option(help: ArgumentHelp("Run with this group of the image's.", valueName: "group")) var group: String?
    @Option(help: ArgumentHelp("Run with these groups too: numbers, with commas.", valueName: "gids")) var supplementaryGids: String?
    @Option(name: [.customLong("working-dir"), .customLong("working-directory")], help: ArgumentHelp("Run in this directory.", valueName: "path"))
    var workingDirectory: String?
    @Option(help: ArgumentHelp("Whether the app can't write to its root.", valueName: "true|false")) var readonlyRootfs: Bool?
    @Option(help: ArgumentHelp("Set an environment variable. May be repeated.", valueName: "name=value")) var environment: [String] = []
    @Option(help: ArgumentHelp("Mount a volume of the pod's. May be repeated.", valueName: "volume=name,target=path")) var mount: [String] = []
    @Option(help: ArgumentHelp("Limit the memory: 64M, 2Gi.", valueName: "amount")) var memory: String?
    @Option(help: ArgumentHelp("Limit the processors: 500m, 2.", valueName: "amount")) var cpu: String?
    @Option(help: ArgumentHelp("Share the processors in this proportion: 2 to 262144.", valueName: "n")) var cpuShares: Int?
    @Option(help: ArgumentHelp("How readily the kernel ends it where memory is short: -1000 to 1000.", valueName: "n")) var oomScoreAdj: Int?
    @Option(
        name: [.customLong("caps-retain"), .customLong("cap-retain")],
        help: ArgumentHelp("Keep these capabilities only: names, with commas.", valueName: "caps"))
    var capsRetain: [String] = []
    @Option(
        name: [.customLong("caps-remove"), .customLong("cap-remove")],
        help: ArgumentHelp("Remove these capabilities from the usual ones.", valueName: "caps"))
    var capsRemove: [String] = []
    @Option(help: ArgumentHelp("Filter system calls.", valueName: "mode=retain|remove[,errno=E],name…")) var seccomp: String?
    @Option(help: ArgumentHelp("Add an annotation to the app in the pod's manifest.", valueName: "name=value")) var annotation: [String] = []
    @Option(help: ArgumentHelp("Add a user annotation.", valueName: "name=value")) var userAnnotation: [String] = []
    @Option(help: ArgumentHelp("Add a user label.", valueName: "name=value")) var userLabel: [String] = []
    @Option(help: ArgumentHelp("The image's detached signature.", valueName: "file")) var signature: String?
    @Option(help: ArgumentHelp("What the app reads: null, stream or tty.", valueName: "mode")) var stdin: InputMode?
    @Option(help: ArgumentHelp("Where its output goes: stream, log, null or tty.", valueName: "mode")) var stdout: OutputMode?
    @Option(help: ArgumentHelp("Where its errors go: stream, log, null or tty.", valueName: "mode")) var stderr: OutputMode?

    enum InputMode: String, ExpressibleByArgument, CaseIterable { case null, stream, tty }
    enum OutputMode: String, ExpressibleByArgument, CaseIterable { case log, null, stream, tty }

    /// Their names, for telling apart whose option a word is.
    static let names: Set<String> = [
        "exec", "name", "user", "group", "supplementary-gids", "working-dir", "working-directory", "readonly-rootfs", "environment", "mount", "memory", "cpu",
        "cpu-shares", "oom-score-adj", "caps-retain", "cap-retain", "caps-remove", "cap-remove", "seccomp", "annotation", "user-annotation", "user-label",
        "signature", "stdin", "stdout", "stderr",
    ]

    func validate() throws {
        if !capsRetain.isEmpty, !capsRemove.isEmpty { throw ValidationError("--caps-retain and --caps-remove exclude each other") }
        if let cpuShares, !(2...262144).contains(cpuShares) { throw ValidationError("--cpu-shares is a number from 2 to 262144") }
        if let oomScoreAdj, !(-1000...1000).contains(oomScoreAdj) { throw ValidationError("--oom-score-adj is a number from -1000 to 1000") }
    }

    /// - Returns: nil where there are none: looking for options takes a millisecond then too.
    static func any(_ words: [String]) throws -> AppOptions? { words.isEmpty ? nil : try parse(words) }

    /// - Parameter pod: what is set for every app.
    static func changes(_ options: AppOptions?, arguments: [String], pod: AppDefaults) throws -> AppChanges {
        var changes = AppChanges()
        changes.arguments = arguments
        changes.environment = pod.environment
        changes.inheritedEnvironment = pod.inheritedEnvironment
        changes.mounts = pod.mounts
        try options?.add(to: &changes)
        return changes
    }

    private func add(to changes: inout AppChanges) throws {
        changes.name = name
        changes.exec = exec
        changes.user = user
        changes.group = group
        changes.supplementaryGIDs = try supplementaryGids.map { text in
            try text.split(separator: ",").map { part in
                guard let number = UInt32(part) else { throw ValidationError("\"\(part)\" is not the number of a group") }
                return number
            }
        }
        changes.workingDirectory = workingDirectory
        changes.readOnlyRoot = readonlyRootfs
        changes.environment = try environment.map { try EnvironmentOption.variable($0) } + changes.environment
        let mounts = try mount.map { try VolumeOption.mount($0) }
        changes.mounts = mounts + changes.mounts.filter { one in !mounts.contains { AppMount.cleaned($0.path) == AppMount.cleaned(one.path) } }
        changes.annotations = try annotation.map { try NamedValue(argument: $0) }
        for (name, mode) in [("stdin", stdin?.rawValue), ("stdout", stdout?.rawValue), ("stderr", stderr?.rawValue)] {
            if let mode { changes.annotations.append(NamedValue(name: StreamModes.prefix + name, value: mode)) }
        }
        changes.userAnnotations = try userAnnotation.map { try NamedValue(argument: $0) }
        changes.userLabels = try userLabel.map { try NamedValue(argument: $0) }
        addIsolators(to: &changes)
        if let seccomp {
            changes.isolators.append(try IsolatorOption.seccomp(seccomp))
            changes.replacedIsolators.formUnion(["os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"])
        }
    }

    private func addIsolators(to changes: inout AppChanges) {
        func amount(_ text: String) -> JSONValue { .object(["default": .bool(false), "request": .string(text), "limit": .string(text)]) }
        func set(_ lists: [String]) -> JSONValue {
            .object(["set": .array(lists.flatMap { $0.split(separator: ",").map { .string(String($0)) } })])
        }
        func add(_ name: String, _ value: JSONValue, replacing: [String]) {
            changes.isolators.append(Isolator(name: name, value: value))
            changes.replacedIsolators.formUnion(replacing)
        }
        if let memory { add("resource/memory", amount(memory), replacing: ["resource/memory"]) }
        if let cpu { add("resource/cpu", amount(cpu), replacing: ["resource/cpu"]) }
        if let cpuShares { add("os/linux/cpu-shares", .integer(Int64(cpuShares)), replacing: ["os/linux/cpu-shares"]) }
        if let oomScoreAdj { add("os/linux/oom-score-adj", .integer(Int64(oomScoreAdj)), replacing: ["os/linux/oom-score-adj"]) }
        let both = ["os/linux/capabilities-retain-set", "os/linux/capabilities-remove-set"]
        if !capsRetain.isEmpty { add(both[0], set(capsRetain), replacing: both) }
        if !capsRemove.isEmpty { add(both[1], set(capsRemove), replacing: both) }
    }
}

/// What a pod's options set for every app.
struct AppDefaults {
    var environment: [NamedValue] = []
    var inheritedEnvironment: [NamedValue] = []
    var mounts: [Mount] = []
}

/// Options of a pod that are kept in its manifest or its directory.
struct PodOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Add a volume. May be repeated.",
            valueName: "name,kind=host,source=path[,readOnly=true][,recursive=false] or name,kind=empty[,mode=0755][,uid=0][,gid=0]"
        ))
    var volume: [String] = []
    @Option(help: ArgumentHelp("Mount a volume in every app, as --mount before the first image does.", valueName: "volume=name,target=path"))
    var mountAll: [String] = []
    @Option(help: ArgumentHelp("Lead a port of the host's to one of an app's. May be repeated.", valueName: "name:[hostip:]hostport")) var port: [String] = []
    @Option(help: ArgumentHelp("Set an environment variable in every app. May be repeated.", valueName: "name=value")) var setEnv: [String] = []
    @Option(help: ArgumentHelp("Set the environment variables of a file of lines NAME=VALUE. May be repeated.", valueName: "file")) var setEnvFile: [String] =
        []
    @Flag(help: "Set the caller's environment variables that neither the image nor an option sets.") var inheritEnv = false
    @Flag(help: "Copy the images' trees for this pod instead of mounting overlays on them.") var noOverlay = false
    @Option(help: ArgumentHelp("Run the apps of a pod manifest; their images are those of the store.", valueName: "file")) var podManifest: String?

    static let switches: Set<String> = ["inherit-env", "no-overlay"]

    /// Where none is given, without asking the parser.
    static var none: PodOptions {
        var options = PodOptions()
        (options.volume, options.mountAll, options.port, options.setEnv, options.setEnvFile) = ([], [], [], [], [])
        (options.inheritEnv, options.noOverlay, options.podManifest) = (false, false, nil)
        return options
    }

    func validate() throws {
        let conflicts = !volume.isEmpty || !mountAll.isEmpty || !port.isEmpty || !setEnv.isEmpty || !setEnvFile.isEmpty || inheritEnv
        if podManifest != nil, conflicts { throw ValidationError("conflicting flags set with --pod-manifest (see --help)") }
    }

    func defaults() throws -> AppDefaults {
        var defaults = AppDefaults()
        var set: [NamedValue] = []
        for text in setEnv {
            let variable = try EnvironmentOption.variable(text)
            guard !set.contains(where: { $0.name == variable.name }) else { throw ValidationError("key \"\(variable.name)\" already set") }
            set.append(variable)
        }
        defaults.environment = try EnvironmentOption.files(setEnvFile) + set
        if inheritEnv { defaults.inheritedEnvironment = EnvironmentOption.callers() }
        defaults.mounts = try mountAll.map { try VolumeOption.mount($0) }
        return defaults
    }

    func volumes() throws -> [Volume] {
        var volumes: [Volume] = []
        for text in volume {
            let one = try VolumeOption.volume(text)
            guard !volumes.contains(where: { $0.name == one.name }) else { throw ValidationError("duplicate volume name \"\(one.name)\"") }
            volumes.append(one)
        }
        return volumes
    }
}

/// Options of a pod that are about one run of it.
struct RuntimeOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The pod's networks: host, none, default, default-restricted, all, or names of configured ones. (default: host; with --port default)",
            valueName: "name[:key=value;...],..."))
    var net: String?
    @Option(help: ArgumentHelp("Name servers; or host or none for the host's or the image's resolv.conf. May be repeated.", valueName: "ip")) var dns:
        [String] = []
    @Option(help: ArgumentHelp("Look names up in this domain. May be repeated.", valueName: "domain")) var dnsSearch: [String] = []
    @Option(help: ArgumentHelp("An option of resolv.conf. May be repeated.", valueName: "option")) var dnsOpt: [String] = []
    @Option(help: ArgumentHelp("The local domain in resolv.conf.", valueName: "domain")) var dnsDomain: String?
    @Option(help: ArgumentHelp("Add a line to the apps' /etc/hosts, or give them the host's. May be repeated.", valueName: "ip=name|host")) var hostsEntry:
        [String] = []
    @Flag(help: "Give the pod users of its own: its root is nobody outside.") var privateUsers = false
    @Flag(help: "Refuse to run where an isolator can't be enforced.") var strict = false
    @Option(help: ArgumentHelp("The pod's host name.", valueName: "name")) var hostname: String?
    @Option(help: ArgumentHelp("Whether the pod has an IPC namespace of its own: auto, private or parent. (default: auto)", valueName: "mode")) var ipc:
        IPCMode?
    @Flag(help: "Give the app a terminal even where its output goes elsewhere.") var interactive = false
    @Flag(name: .customLong("rm"), help: "Remove the pod when it has ended.") var remove = false
    @Flag(help: ArgumentHelp("End the pod when whoever started d2a has ended.", visibility: .hidden)) var endWithParent = false
    @Option(help: ArgumentHelp("Wait so long between TERM and KILL where the pod is to end.", valueName: "seconds")) var stopTimeout: Int = 10

    @Option(
        help: ArgumentHelp(
            "Write to this open descriptor, as JSON, how the apps ended: exit codes and signals, or why they didn't start. Warnings are left out then.",
            valueName: "fd"))
    var statusFd: Int32?

    @Option(
        help: ArgumentHelp(
            "Who starts the apps: builtin, runc or crun; or chroot, with the host's processes, devices and rights. (default: builtin)", valueName: "kind"))
    var stage1: Stage1Kind?
    @Flag(help: "Tell the apps by AC_METADATA_URL where the metadata service answers them; it is started where it doesn't run.") var mdsRegister = false

    enum IPCMode: String, ExpressibleByArgument, CaseIterable { case auto, `private`, parent }

    static let switches: Set<String> = ["interactive", "rm", "mds-register", "strict", "private-users", "end-with-parent"]

    /// Where none is given, without asking the parser.
    static var none: RuntimeOptions {
        var options = RuntimeOptions()
        (options.net, options.dns, options.dnsSearch, options.dnsOpt, options.dnsDomain, options.hostsEntry) = (nil, [], [], [], nil, [])
        (options.privateUsers, options.strict, options.hostname, options.ipc, options.interactive, options.remove) = (false, false, nil, nil, false, false)
        (options.endWithParent, options.stopTimeout, options.statusFd, options.stage1, options.mdsRegister) = (false, 10, nil, nil, false)
        return options
    }
}

extension Stage1Kind: ExpressibleByArgument {}

/// `NAME=VALUE`, in words and in files.
enum EnvironmentOption {
    static func variable(_ text: String) throws -> NamedValue {
        let variable = try NamedValue(argument: text)
        guard let first = variable.name.unicodeScalars.first, isStart(first),
            variable.name.unicodeScalars.allSatisfy({ isStart($0) || "0123456789.-".unicodeScalars.contains($0) })
        else { throw ValidationError("\"\(variable.name)\" can't be the name of an environment variable") }
        return variable
    }

    private static func isStart(_ scalar: Unicode.Scalar) -> Bool { scalar == "_" || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) }

    /// Lines `NAME=VALUE`, literally; empty ones and those that begin with `#` or `;` mean nothing.
    static func files(_ paths: [String]) throws -> [NamedValue] {
        var variables: [NamedValue] = []
        for path in paths {
            let text = String(decoding: try OpenFile.open(path).readAll(limit: 16 << 20), as: UTF8.self)
            for line in text.split(separator: "\n") where !line.hasPrefix("#") && !line.hasPrefix(";") {
                let variable = try variable(String(line))
                guard !variables.contains(where: { $0.name == variable.name }) else { throw ValidationError("key \"\(variable.name)\" already set") }
                variables.append(variable)
            }
        }
        return variables
    }

    static func callers() -> [NamedValue] {
        var variables: [NamedValue] = []
        var place = environ
        while let entry = place.pointee {
            if let variable = try? variable(String(cString: entry)) { variables.append(variable) }
            place += 1
        }
        return variables
    }
}

/// `--volume` and `--mount`.
enum VolumeOption {
    static func volume(_ text: String) throws -> Volume {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard ACName.isValid(parts[0]) else { throw ValidationError("\"\(parts[0])\" can't be the name of a volume") }
        var fields: [String: String] = [:]
        for part in parts.dropFirst() {
            let field = try NamedValue(argument: part)
            guard ["kind", "source", "readOnly", "recursive", "mode", "uid", "gid"].contains(field.name) else {
                throw ValidationError("unknown volume parameter \"\(field.name)\"")
            }
            fields[field.name] = field.value
        }
        var volume = Volume(name: parts[0], kind: fields["kind"] ?? "")
        volume.readOnly = try fields["readOnly"].map { try boolean($0, "readOnly") }
        switch volume.kind {
        case "host":
            guard let source = fields["source"], source.hasPrefix("/") else { throw ValidationError("source for host volume must be absolute path") }
            if let field = ["mode", "uid", "gid"].first(where: { fields[$0] != nil }) { throw ValidationError("\(field) is for empty volumes only") }
            volume.source = source
            volume.recursive = try fields["recursive"].map { try boolean($0, "recursive") }
        case "empty":
            if fields["source"] != nil { throw ValidationError("source is for host volumes only") }
            volume.mode = fields["mode"] ?? "0755"
            guard let mode = volume.mode, let bits = UInt32(mode, radix: 8), bits <= 0o7777 else {
                throw ValidationError("mode is an octal number such as 0755")
            }
            volume.uid = try fields["uid"].map { try number($0, "uid") } ?? 0
            volume.gid = try fields["gid"].map { try number($0, "gid") } ?? 0
        default: throw ValidationError("unrecognized volume kind: should be one of \"empty\", \"host\"")
        }
        return volume
    }

    /// `volume=NAME,target=PATH`
    static func mount(_ text: String) throws -> Mount {
        var fields: [String: String] = [:]
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let field = try NamedValue(argument: String(part))
            guard ["volume", "target"].contains(field.name) else { throw ValidationError("unknown mount parameter \"\(field.name)\"") }
            fields[field.name] = field.value
        }
        guard let volume = fields["volume"], let target = fields["target"] else { throw ValidationError("a mount is volume=NAME,target=PATH") }
        guard target.hasPrefix("/") else { throw ValidationError("the target \"\(target)\" is not an absolute path") }
        return Mount(volume: volume, path: target)
    }

    private static func boolean(_ text: String, _ name: String) throws -> Bool {
        guard let value = Bool(text) else { throw ValidationError("\(name) is true or false") }
        return value
    }

    private static func number(_ text: String, _ name: String) throws -> Int {
        guard let value = UInt32(text) else { throw ValidationError("\(name) is a number") }
        return Int(value)
    }
}

/// Options that become isolators.
enum IsolatorOption {
    /// `mode=retain|remove[,errno=EXXX],NAME…`
    static func seccomp(_ text: String) throws -> Isolator {
        var mode: String?
        var members: [String: JSONValue] = [:]
        var names: [JSONValue] = []
        for part in text.split(separator: ",") {
            if part.contains("=") {
                let field = try NamedValue(argument: String(part))
                switch field.name {
                case "mode": mode = field.value
                case "errno": members["errno"] = .string(field.value)
                default: throw ValidationError("invalid seccomp command-line override: \(field.name)")
                }
            } else {
                names.append(.string(String(part)))
            }
        }
        guard let mode, ["retain", "remove"].contains(mode) else {
            throw ValidationError("invalid seccomp mode command-line override: mode is retain or remove")
        }
        guard !names.isEmpty else { throw ValidationError("set must be non-empty") }
        members["set"] = .array(names)
        return Isolator(name: "os/linux/seccomp-\(mode)-set", value: .object(members))
    }
}
