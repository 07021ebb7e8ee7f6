import CLinux
import Diagnostics
import Files
import Glibc

/// What a process keeps that is about to read strangers' bytes: the directories it needs, the network or not, and no way to
/// start a program or to get more rights. There is no way back.
///
/// Three fences, since each has gaps: Landlock for files (where the kernel has it), no capabilities that aren't needed, and a list
/// of system calls (seccomp). Files that are open stay open.
public struct Sandbox {
    /// Directories and files that may be read, with all below them.
    public var reading: [any DescriptorOwner] = []
    /// Directories in which files may be made, written, renamed and removed.
    public var writing: [any DescriptorOwner] = []
    /// Whether names are resolved and connections made, with what of the system that needs.
    public var network = false
    /// What root keeps of its rights (`CAP_DAC_OVERRIDE` …). Anyone else has none.
    public var capabilities: [Int32] = []
    /// A program that this process may become; beside it, it can start only what lies among the libraries that it needs.
    public var program: OpenFile?

    public init(
        reading: [any DescriptorOwner] = [], writing: [any DescriptorOwner] = [], network: Bool = false, capabilities: [Int32] = [], program: OpenFile? = nil
    ) {
        (self.reading, self.writing, self.network, self.capabilities, self.program) = (reading, writing, network, capabilities, program)
    }

    /// Puts this thread, and all that it starts, in the sandbox. To be called before there are other threads.
    /// - Throws: ``SandboxError``
    public func enter() throws {
        system_no_new_privileges()
        try restrictFiles()
        let kept = capabilities.reduce(0) { $0 | UInt64(1) << UInt64($1) }
        guard geteuid() != 0 || system_keep_capabilities(kept) == 0 else { throw SandboxError.capabilities(code: errno) }
        try SystemCalls.restrict(network: network, programs: program != nil)
    }

    // MARK: Files

    /// Rights of Landlock (linux/landlock.h), by the version of its interface that brought them.
    private enum Right {
        static let writeFile: UInt64 = 1 << 1
        static let execute: UInt64 = 1
        static let readFile: UInt64 = 1 << 2
        static let readDirectory: UInt64 = 1 << 3
        static let truncate: UInt64 = 1 << 14
        static let read = readFile | readDirectory
        /// All but to execute.
        static let write = ~(1 as UInt64)
        /// What applies to a file, and not only to a directory.
        static let ofFile = execute | writeFile | readFile | truncate

        static func all(version: Int32) -> UInt64 { version >= 5 ? 0xFFFF : version >= 3 ? 0x7FFF : version == 2 ? 0x3FFF : 0x1FFF }
    }

    /// What resolving names and checking certificates reads.
    private static let systemFiles = [
        "/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/run/systemd/resolve",
        "/run/resolvconf", "/run/NetworkManager", "/proc/self", "/proc/sys/kernel", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random",
    ]

    private func restrictFiles() throws {
        let version = landlock_version()
        // A kernel without it, or one that has it turned off.
        guard version > 0 else { return }
        let handled = Right.all(version: version)
        let rules = landlock_rules(version, handled, network ? 0 : 1)
        guard rules >= 0 else { throw SandboxError.files(code: errno) }
        defer { close(rules) }
        func allow(_ owner: any DescriptorOwner, _ rights: UInt64) throws {
            var status = stat()
            guard fstat(owner.descriptor, &status) == 0 else { throw SandboxError.files(code: errno) }
            let kind = status.st_mode & S_IFMT == S_IFDIR ? rights : rights & Right.ofFile
            // A pipe or a socket lies in no directory, and is open already.
            guard withExtendedLifetime(owner, { landlock_allow(rules, owner.descriptor, kind & handled) }) == 0 || errno == EBADFD else {
                throw SandboxError.files(code: errno)
            }
        }
        for owner in reading { try allow(owner, Right.read) }
        for owner in writing { try allow(owner, Right.write) }
        if let null = try? OpenFile.named("/dev/null") { try allow(null, Right.read | Right.writeFile) }
        let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"].compactMap { environmentVariable($0) }
        for path in network ? Self.systemFiles + certificates : ["/proc/self", "/usr/lib", "/lib"] {
            if let file = try? OpenFile.named(path) { try allow(file, Right.read) }
        }
        if let program {
            try allow(program, Right.execute | Right.readFile)
            // The loader of a program that isn't static, and the libraries that it reads.
            for path in ["/lib64", "/lib", "/usr/lib64", "/usr/lib"] {
                if let directory = try? OpenFile.named(path) { try allow(directory, Right.execute | Right.read) }
            }
        }
        guard landlock_enter(rules) == 0 else { throw SandboxError.files(code: errno) }
    }
}

/// Becomes nobody, for good, before a stranger's bytes are read, where this is root. Anyone else stays who they are.
///
/// - Parameter handingOver: open descriptors of what the helper needs as its own afterwards.
public func becomeNobody(handingOver descriptors: [Int32] = []) throws {
    system_no_new_privileges()
    guard geteuid() == 0 else { return }
    let (parent, diesWithParent) = (getppid(), system_dies_with_parent() != 0)
    // In a user namespace with one user there is no nobody: it has no rights to give up but those the sandbox takes.
    if setgid(nobody) != 0, errno == EINVAL { return }
    for descriptor in descriptors {
        guard fchown(descriptor, nobody, nobody) == 0 else { throw FileError("hand over", "the store's work directory") }
    }
    guard setgroups(0, nil) == 0, setgid(nobody) == 0, setuid(nobody) == 0, setuid(0) != 0 else { throw SandboxError.user(code: errno) }
    // The kernel forgets it where the user changes (prctl(2), PR_SET_PDEATHSIG), and the parent may have died in between.
    if diesWithParent, system_die_with_parent() != 0 || getppid() != parent { _exit(1) }
}

/// The sandbox can't be had here.
public enum SandboxError: DiagnosedError, Equatable {
    case files(code: Int32)
    case capabilities(code: Int32)
    case systemCalls(code: Int32)
    case user(code: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .files(let code): Diagnosis("can't fence in the process that reads the image: Landlock: \(errorText(code))", hint: Self.hint)
        case .capabilities(let code): Diagnosis("can't fence in the process that reads the image: capabilities: \(errorText(code))", hint: Self.hint)
        case .systemCalls(let code): Diagnosis("can't fence in the process that reads the image: seccomp: \(errorText(code))", hint: Self.hint)
        case .user(let code): Diagnosis("can't give up root's rights: \(errorText(code))", hint: Self.hint)
        }
    }

    private static let hint = "the kernel, or the container this runs in, forbids it: run d2a where it may confine itself"
}
