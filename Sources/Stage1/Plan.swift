import AppC
import Files
import Glibc
import Pod
import RuntimeBundle

/// The steps that make a pod, in order, for d2a-stage1, which decides nothing itself (`Sources/d2a-stage1/stage1.h`): those of
/// the pod, then a section for each app.
struct Plan {
    /// Words that each end with a zero byte.
    private(set) var bytes: [UInt8] = []
    /// What steps name by number: 7, and so on.
    private(set) var descriptors: [any DescriptorOwner] = []
    private static let firstDescriptor = 7

    private mutating func step(_ words: String...) {
        for word in words {
            bytes.append(contentsOf: word.utf8)
            bytes.append(0)
        }
    }

    private mutating func list(_ name: String, _ words: [String]) {
        step(name, String(words.count))
        for word in words { step(word) }
    }

    private mutating func number(of owner: any DescriptorOwner) -> String {
        descriptors.append(owner)
        return String(Self.firstDescriptor + descriptors.count - 1)
    }

    /// - Parameters:
    ///   - files: paths in the pod that show files of the pod's directory.
    ///   - places: a tree of the places that all apps have something mounted on, relative to the data directory.
    ///   - open: gives what a stream that is neither inherited nor a terminal leads to.
    init(
        pod: PodDirectory, apps: [AppProcess], settings: PodSettings, files: [(path: String, file: String)], places: String,
        open: (AppStream, PodApp) throws -> OpenFile
    ) throws {
        step(pod.path, settings.removeAtEnd ? "1" : "0", settings.stage1 == .chroot ? "1" : "0")
        list("logs", apps.filter { $0.streams.contains { if case .log = $0 { true } else { false } } }.map(\.app.name))
        for group in settings.cgroups { step("cgroup", number(of: group)) }
        var namespaces = ["mnt"]
        if settings.stage1 != .chroot { namespaces.append("uts") }
        if settings.stage1 != .chroot, !settings.hostIPC { namespaces.append("ipc") }
        switch settings.network {
        case .host: break
        case .none: namespaces.append("net")
        case .joined(let network): step("network", number(of: network))
        }
        list("namespaces", namespaces)
        if settings.stage1 != .chroot { step("hostname", settings.hostname) }
        for (key, value) in settings.parameters { step("sysctl", "/proc/sys/" + key.split(separator: ".").joined(separator: "/"), value) }
        step("stop-timeout", String(settings.stopTimeout))
        let sharesMemory = apps.count > 1
        if sharesMemory { step("shared-memory", "\(pod.path)/shm", Self.sharedMemory) }

        for app in apps {
            let before = bytes
            bytes = []
            try section(app, of: pod, settings, files, places, sharesMemory, open)
            let section = bytes
            bytes = before
            step("app", app.app.name, String(section.count))
            bytes += section
        }
        // Known when all is written, and wanted when all is done.
        step("descriptors", String(descriptors.count + Self.firstDescriptor - 3))
    }

    /// The steps of one more program in a pod that runs.
    /// - Parameters:
    ///   - process: a pidfd of the app that it joins.
    ///   - namespaces: which of that process's it enters, as flags of setns(2).
    init(entering process: any DescriptorOwner, namespaces: Int, arguments: [String], environment: [NamedValue], terminal: Bool, limits: AppLimits) throws {
        for group in limits.cgroups { step("cgroup", number(of: group)) }
        step("enter", number(of: process), String(namespaces))
        command(arguments, nil, nil, environment: environment)
        if terminal { step("terminal") }
        step("directory", "/")
        step("user", "0", "0", "0")
        try self.limits(limits)
    }

    private mutating func section(
        _ process: AppProcess, of pod: PodDirectory, _ settings: PodSettings, _ files: [(path: String, file: String)], _ places: String,
        _ sharesMemory: Bool, _ open: (AppStream, PodApp) throws -> OpenFile
    ) throws {
        let (app, limits) = (process.app, process.limits)
        for group in limits.cgroups { step("cgroup", number(of: group)) }
        // What it sees of control groups begins at its own.
        if settings.stage1 == .builtin, !settings.cgroups.isEmpty || !limits.cgroups.isEmpty { step("cgroup-namespace") }
        if let score = limits.oomScoreAdjust { step("oom-score-adj", String(score)) }

        if let users = settings.users { step("users", number(of: users.namespace), String(users.first), users.ownOnDisk ? "1" : "0") }
        switch process.root {
        case .overlay(let tree):
            // Mounted over the tree itself, in the app's own mount namespace.
            step("root", tree, tree, places, "\(pod.path)/apps/\(app.name)", UserNamespace.isCurrent ? ",userxattr" : "")
        case .copy: step("root", pod.path("rootfs", of: app.name), "", "", "", "")
        }
        step("make-directory", "/tmp", String(0o1777))
        switch settings.stage1 {
        case .builtin:
            kernelFileSystems(
                hidden: settings.hidesKernelPaths, sharedMemory: sharesMemory ? "\(pod.path)/shm" : nil, terminals: 5 + (settings.users?.first ?? 0))
            bindings(app, of: pod, files)
            // Whoever may make devices can't use them.
            flags("/", app.readOnlyRoot ? [.noDevices, .readOnly] : .noDevices)
            step("pivot")
            command(app.arguments, app.preStart, app.postStop, environment: process.environment)
            try identity(app, limits)
        case .chroot:
            for path in ["/dev", "/proc", "/sys"] { bind(path, path, recursive: true) }
            mount("tmpfs", "/tmp", [.noSetuid, .noDevices], "mode=1777")
            bindings(app, of: pod, files)
            if app.readOnlyRoot { flags("/", .readOnly) }
            step("pivot")
            step("die-with-init")
            command(app.arguments, app.preStart, app.postStop, environment: process.environment)
            try identity(app, AppLimits(bounding: .own()))
        case .runc, .crun:
            guard let runtime = OCIRuntime(rawValue: settings.stage1.rawValue) else { return }
            for mount in app.mounts { step("mount-point", mount.source(in: pod.path), mount.path) }
            flags("/", .noDevices)
            step("proc")
            if !runtime.runsHere { step("detach", OCIRuntime.unifiedHierarchy) }
            let bundle = try RuntimeApp(process, of: pod, settings, files, sharesMemory: sharesMemory, runtime)
            command(bundle.arguments, bundle.preStart, bundle.postStop, environment: [NamedValue(name: "PATH", value: PodApp.defaultPath)])
            step("directory", "/")
            step("user", "0", "0", "0")
            step("capabilities", String(Capabilities.own().rawValue), "0", "0")
        }
        for socket in process.sockets {
            switch socket.source {
            case .new(let transport): step("listen", transport, String(socket.port))
            case .given(let file): step("socket", number(of: file))
            }
        }
        if !process.sockets.isEmpty { step("socket-names", process.sockets.map(\.name).joined(separator: ":")) }
        // A runtime passes the terminal on itself.
        if settings.stage1 == .builtin || settings.stage1 == .chroot, process.hasTerminal { step("terminal") }
        for (stream, kind) in process.streams.enumerated() {
            switch kind {
            case .inherited, .terminal: break
            case .null, .log: step("stream", String(stream), number(of: try open(kind, app)))
            }
        }
    }

    /// The pod's files and volumes, in the app's root.
    private mutating func bindings(_ app: PodApp, of pod: PodDirectory, _ files: [(path: String, file: String)]) {
        for (path, file) in files where !app.mounts.contains(where: { $0.path == path }) { bind("\(pod.path)/\(file)", path) }
        for mount in app.mounts {
            var flags: MountFlags = mount.readOnly ? [.readOnly] : []
            if !mount.hasDevices { flags.insert(.noDevices) }
            bind(mount.source(in: pod.path), mount.path, recursive: mount.recursive, flags, isPods: mount.isPods)
        }
    }

    private mutating func command(_ arguments: [String], _ preStart: [String]?, _ postStop: [String]?, environment: [NamedValue]) {
        list("exec", arguments)
        if let preStart { list("pre-start", preStart) }
        if let postStop { list("post-stop", postStop) }
        list("environment", environment.map { "\($0.name)=\($0.value)" })
        step("path", environment.first { $0.name == "PATH" }?.value ?? PodApp.defaultPath)
    }

    private mutating func identity(_ app: PodApp, _ limits: AppLimits) throws {
        step("directory", app.workingDirectory)
        step("user", String(app.user), String(app.group))
        step(String(app.supplementaryGroups.count))
        for group in app.supplementaryGroups { step(String(group)) }
        try self.limits(limits)
    }

    private mutating func limits(_ limits: AppLimits) throws {
        step("capabilities", String(limits.bounding.rawValue), String(limits.inheritable.rawValue), String(limits.ambient.rawValue))
        if limits.noNewPrivileges { step("no-new-privileges") }
        for label in limits.labels { step("label", label.file, label.word) }
        if let filter = limits.filter { step("seccomp", number(of: try OpenFile.inMemory("seccomp", filter))) }
    }

    /// Flags of mount(2).
    private struct MountFlags: OptionSet {
        let rawValue: UInt
        static let readOnly = Self(rawValue: 1)
        static let noSetuid = Self(rawValue: 2)
        static let noDevices = Self(rawValue: 4)
        static let noExec = Self(rawValue: 8)
        static let safe: Self = [.noSetuid, .noDevices, .noExec]
    }

    private mutating func mount(_ type: String, _ path: String, _ flags: MountFlags, _ data: String = "") {
        step("mount", type, path, String(flags.rawValue), data)
    }

    private mutating func flags(_ path: String, _ flags: MountFlags) { step("flags", path, String(flags.rawValue)) }

    /// - Parameter isPods: whether the source is the pod's own, and its users are to own what is in it.
    private mutating func bind(_ source: String, _ path: String, recursive: Bool = false, _ flags: MountFlags = [], isPods: Bool = false) {
        step("bind", source, path, recursive ? "1" : "0", isPods ? "1" : "0", String(flags.rawValue))
    }

    private static let sharedMemory = "mode=1777,size=65536k"

    /// What every Linux app may rely on (appc spec `OS-SPEC.md`), and what of the kernel it may not see or change.
    /// - Parameter terminals: the group of the host's that terminals belong to.
    private mutating func kernelFileSystems(hidden: Bool, sharedMemory: String?, terminals: UInt32) {
        mount("proc", "/proc", .safe)
        mount("sysfs", "/sys", hidden ? [.safe, .readOnly] : .safe)
        mount("tmpfs", "/dev", [.noSetuid], "mode=755,size=65536k")
        let devices: [(name: String, major: Int, minor: Int)] = [
            ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
            // Without a terminal the console swallows what is written to it; with one the terminal is mounted here.
            ("console", 1, 3),
        ]
        for device in devices { step("device", "/dev/\(device.name)", String(device.major), String(device.minor)) }
        let links = [
            ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
        ]
        for (name, target) in links { step("link", "/dev/\(name)", target) }
        // The devices above are mounts of their own; none that the app makes beside them works.
        flags("/dev", .noDevices)
        mount("devpts", "/dev/pts", [.noSetuid, .noExec], "newinstance,ptmxmode=0666,mode=0620,gid=\(terminals)")
        if let sharedMemory { bind(sharedMemory, "/dev/shm") } else { mount("tmpfs", "/dev/shm", .safe, Self.sharedMemory) }
        mount("mqueue", "/dev/mqueue", .safe)
        guard hidden else { return }
        for path in Self.maskedPaths { step("mask", path) }
        for path in Self.readOnlyPaths { step("read-only", path) }
    }

    static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/config.gz", "/proc/kallsyms", "/sys/firmware", "/sys/devices/virtual/powercap",
    ]

    static let readOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
}

extension AppMount {
    fileprivate var isPods: Bool { if case .pod = source { true } else { false } }

    /// Whether it is a device of the host's, or a directory of such, that the app is meant to use.
    var hasDevices: Bool {
        guard case .host(let path) = source else { return false }
        var status = stat()
        guard stat(path, &status) == 0 else { return false }
        return [S_IFCHR, S_IFBLK].contains(status.st_mode & S_IFMT) || path == "/dev" || path.hasPrefix("/dev/")
    }
}
