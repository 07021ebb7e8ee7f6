/// Where configuration lies: the user's goes before this machine's, and that before the system's.
public enum ConfigurationDirectories {
    /// This machine's, the first goes before the second; `$D2A_LOCAL_CONFIG` in place of both.
    public static var local: [String] { environmentVariable("D2A_LOCAL_CONFIG").map { [$0] } ?? ["/etc/d2a", "/etc/rkt"] }

    /// Those of packages; `$D2A_SYSTEM_CONFIG` in place of them.
    public static var system: [String] { environmentVariable("D2A_SYSTEM_CONFIG").map { [$0] } ?? ["/usr/lib/d2a", "/usr/lib/rkt"] }

    /// The user's: `$D2A_USER_CONFIG`, or `$XDG_CONFIG_HOME/d2a`; none without a home.
    public static var user: [String] {
        if let path = environmentVariable("D2A_USER_CONFIG") { return [path] }
        guard let home = environmentVariable("XDG_CONFIG_HOME") ?? environmentVariable("HOME").map({ $0 + "/.config" }) else { return [] }
        return ["\(home)/d2a"]
    }
}
