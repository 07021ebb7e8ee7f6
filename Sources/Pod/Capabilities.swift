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
}
