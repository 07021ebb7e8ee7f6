extension RuntimeConfiguration {
    /// The container that `docker run IMAGE` makes where no option is given, by Docker's documentation of its defaults (engine
    /// 20.10 to 27): environment, capabilities, mounts, devices, namespaces, hidden and read-only paths. Docker's list of
    /// system calls is added by whoever has it.
    ///
    /// - Parameters:
    ///   - arguments: ENTRYPOINT and CMD, or what was given in CMD's place.
    ///   - environment: the image's own, `NAME=VALUE` each.
    ///   - root: the image's tree, writable, absolute or relative to the bundle.
    ///   - hostname: Docker takes the first twelve digits of the container's ID.
    ///   - network: nil for the host's, else a namespace: a new one has loopback only, as with `--network none`.
    ///   - files: the host's files that the container sees as `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.
    public static func docker(
        arguments: [String], environment: [String], workingDirectory: String, user: User, root: String, hostname: String,
        network: Namespace? = Namespace("network"), files: [(path: String, source: String)] = [], terminal: Bool = false
    ) -> RuntimeConfiguration {
        var variables = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=\(hostname)"]
        if terminal { variables.append("TERM=xterm") }
        // What the image says replaces a default where it stands.
        for variable in environment {
            let name = variable.prefix { $0 != "=" } + "="
            if let index = variables.firstIndex(where: { $0.hasPrefix(name) }) { variables[index] = variable } else { variables.append(variable) }
        }
        var process = Process(
            args: arguments, env: variables, cwd: workingDirectory.isEmpty ? "/" : workingDirectory, user: user, terminal: terminal)
        process.capabilities = Capabilities(Self.dockerCapabilities, user: user.uid)
        process.oomScoreAdj = 0

        var linux = Linux(
            namespaces: ["mount", "uts", "pid", "ipc"].map { Namespace($0) } + [network].compactMap { $0 },
            maskedPaths: Self.dockerMaskedPaths, readonlyPaths: Self.dockerReadOnlyPaths)
        linux.resources = Resources(devices: Self.deviceRules)
        return RuntimeConfiguration(
            process: process, root: Root(path: root), hostname: hostname,
            mounts: Self.kernelMounts + [Mount("/sys/fs/cgroup", type: "cgroup", source: "cgroup", ["ro", "nosuid", "noexec", "nodev"])]
                + files.map { .bind($0.source, at: $0.path) },
            linux: linux)
    }

    static let dockerCapabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
    ]

    static let dockerMaskedPaths = [
        "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
        "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
    ]

    static let dockerReadOnlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    /// What the kernel shows, as both Docker and pods have it.
    public static let kernelMounts = [
        Mount("/proc", type: "proc", source: "proc", ["nosuid", "noexec", "nodev"]),
        Mount("/dev", type: "tmpfs", source: "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        Mount("/dev/pts", type: "devpts", source: "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        Mount("/dev/mqueue", type: "mqueue", source: "mqueue", ["nosuid", "noexec", "nodev"]),
        Mount("/dev/shm", type: "tmpfs", source: "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        Mount("/sys", type: "sysfs", source: "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ]

    /// Every device is refused but those that every container has; the runtime itself allows terminals.
    public static let deviceRules: [DeviceRule] =
        [DeviceRule(allow: false)]
        + [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1)].map { DeviceRule(allow: true, type: "c", major: $0.0, minor: $0.1) }
}
