import Files
import Glibc

/// What confines programs by rules that the machine's administrator has loaded. A program is put under one at its start, by a word
/// written to a file of its own (kernel documentation, `admin-guide/LSM`; the kernel's `proc_pid_attr_operations`).
public enum SecurityModule: Sendable {
    case selinux, appArmor

    public var isolator: String { self == .selinux ? "os/linux/selinux-context" : "os/linux/apparmor-profile" }

    /// Whether the kernel has it, and it is in use.
    public var isActive: Bool {
        func text(_ path: String) -> String { String(decoding: (try? OpenFile.open(path).readAll(limit: 4096)) ?? [], as: UTF8.self) }
        return switch self {
        // As long as it has no policy, everything is the kernel to it, and any label good.
        case .selinux: access("/sys/fs/selinux/enforce", F_OK) == 0 && text("/proc/self/attr/current").contains(":")
        case .appArmor: text("/sys/module/apparmor/parameters/enabled").hasPrefix("Y")
        }
    }

    /// The file and the word that put the next program of a process under a label.
    public func request(_ label: String) -> (file: String, word: String) {
        switch self {
        case .selinux: ("/proc/self/attr/exec", label)
        // Beside another module its file is in a directory of its own.
        case .appArmor:
            (access("/proc/self/attr/apparmor/exec", F_OK) == 0 ? "/proc/self/attr/apparmor/exec" : "/proc/self/attr/exec", "exec \(label)")
        }
    }
}

extension Isolation {
    /// What modules are to run an app as, by its own isolators or else its pod's.
    public func labels(inPod pod: Isolation) -> [(module: SecurityModule, label: String)] {
        [(.selinux, selinuxContext ?? pod.selinuxContext), (.appArmor, appArmorProfile ?? pod.appArmorProfile)].compactMap { module, label in
            label.map { (module, $0) }
        }
    }
}
