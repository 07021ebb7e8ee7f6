import Pod

/// Where a pod's root comes from.
public enum PodRoot: Sendable, Equatable {
    /// A layer of the pod's own above a rendered tree, whose path is relative to the data directory.
    case overlay(tree: String)
    /// The pod's `rootfs` directory, which holds the whole tree already.
    case copy
}

/// The network that a pod sees.
public enum PodNetwork: String, Sendable, CaseIterable {
    /// The host's.
    case host
    /// Loopback alone, in a network namespace of the pod's own.
    case none
}

/// The steps that make a pod, in order, for d2a-stage1, which decides nothing itself (`Sources/d2a-stage1/stage1.h`).
struct Plan {
    /// Words that each end with a zero byte.
    private(set) var bytes: [UInt8] = []

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

    /// - Parameter files: paths in the pod that show files of the pod's directory.
    init(pod: PodDirectory, app: PodApp, root: PodRoot, network: PodNetwork, hostname: String, files: [(path: String, file: String)], terminal: Bool) {
        step(pod.path)
        step("namespaces", network == .none ? "net" : "")
        step("hostname", hostname)
        switch root {
        case .overlay(let tree): step("root", "\(pod.path)/rootfs", "lowerdir=\(tree),upperdir=\(pod.path)/upper,workdir=\(pod.path)/work")
        case .copy: step("root", "\(pod.path)/rootfs", "")
        }
        kernelFileSystems()
        step("make-directory", "/tmp", String(0o1777))
        for (path, file) in files { step("bind", "\(pod.path)/\(file)", path, "0") }
        step("pivot")

        list("exec", app.arguments)
        list("environment", app.environment.map { "\($0.name)=\($0.value)" })
        step("path", app.path)
        step("directory", app.workingDirectory)
        step("user", String(app.user), String(app.group))
        step(String(app.supplementaryGroups.count))
        for group in app.supplementaryGroups { step(String(group)) }
        step("capabilities", String(app.capabilities.rawValue))
        if terminal { step("terminal") }
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

    /// What every Linux app may rely on (appc spec `OS-SPEC.md`), and what of the kernel it may not see or change.
    private mutating func kernelFileSystems() {
        mount("proc", "/proc", .safe)
        mount("sysfs", "/sys", [.safe, .readOnly])
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
        mount("devpts", "/dev/pts", [.noSetuid, .noExec], "newinstance,ptmxmode=0666,mode=0620,gid=5")
        mount("tmpfs", "/dev/shm", .safe, "mode=1777,size=65536k")
        mount("mqueue", "/dev/mqueue", .safe)
        let hidden = [
            "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
            "/proc/sched_debug", "/proc/scsi", "/proc/config.gz", "/proc/kallsyms", "/sys/firmware", "/sys/devices/virtual/powercap",
        ]
        for path in hidden { step("mask", path) }
        for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] { step("read-only", path) }
    }
}
