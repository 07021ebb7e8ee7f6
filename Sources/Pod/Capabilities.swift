import CLinux

/// Linux capabilities as a set of bits (capabilities(7)).
public struct Capabilities: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(number: UInt64) { rawValue = 1 << number }

    public static let chown = Self(number: 0)
    public static let dacOverride = Self(number: 1)
    public static let fowner = Self(number: 3)
    public static let fsetid = Self(number: 4)
    public static let kill = Self(number: 5)
    public static let setgid = Self(number: 6)
    public static let setuid = Self(number: 7)
    public static let setpcap = Self(number: 8)
    public static let netBindService = Self(number: 10)
    public static let netRaw = Self(number: 13)
    public static let sysChroot = Self(number: 18)
    public static let mknod = Self(number: 27)
    public static let auditWrite = Self(number: 29)
    public static let setfcap = Self(number: 31)

    /// What an app may have where nothing else is said: the fourteen that rkt and Docker give.
    public static let standard: Self = [
        .chown, .dacOverride, .fowner, .fsetid, .kill, .setgid, .setuid, .setpcap, .netBindService, .netRaw, .sysChroot, .mknod, .auditWrite, .setfcap,
    ]

    /// What this process has and could pass on.
    public static func own() -> Self { Self(rawValue: system_own_capabilities()) }

    /// Their names in the order of their bits, those of Linux 5.9 and later.
    private static let allNames = """
        CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK \
        IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE \
        AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
        """.split(separator: " ").map { "CAP_" + $0 }

    /// `CAP_CHOWN` …
    public var names: [String] { Self.allNames.indices.filter { rawValue >> UInt64($0) & 1 == 1 }.map { Self.allNames[$0] } }

    /// One by its name; nil where there is none such.
    public init?(name: String) {
        guard let index = Self.allNames.firstIndex(of: name) else { return nil }
        self.init(rawValue: 1 << UInt64(index))
    }
}
