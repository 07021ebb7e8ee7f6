import AppC
import Diagnostics

/// What a process finds where it is started, as d2a-probe (`Sources/d2a-probe`) says it: spellings are the kernel's.
public struct Surroundings: Sendable, Hashable, Decodable {
    /// Without the program's own name.
    public var arguments: [ProbeText]
    /// `NAME=VALUE` each.
    public var environment: [ProbeText]
    public var directory: ProbeText
    /// Real, effective and saved.
    public var users: [UInt32]
    public var groups: [UInt32]
    public var supplementaryGroups: [UInt32]
    /// Octal.
    public var umask: String
    public var noNewPrivileges: String
    /// 0 none, 2 a filter.
    public var seccomp: String
    /// Masks, hexadecimal; the first signal is the lowest bit.
    public var ignoredSignals: String
    public var blockedSignals: String
    public var capabilities: CapabilitySets
    public var secureBits: Int
    /// `SOFT HARD`, a number or `unlimited` each, by the name after `RLIMIT_`.
    public var limits: [String: String]
    /// `pid:[4026531836]`, by kind.
    public var namespaces: [String: String]
    /// Lines of `/proc/self/cgroup`.
    public var controlGroups: ProbeText
    /// What files below `/sys/fs/cgroup` say, by their paths there.
    public var controlGroupLimits: [String: ProbeText]
    public var mounts: [SeenMount]
    public var devices: [SeenDevice]
    public var kernelPaths: [String: Visibility]
    public var hostName: ProbeText
    public var domainName: ProbeText
    /// `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`, those that can be read.
    public var files: [String: ProbeText]
    /// What is open, by number; of what has no name its kind: `pipe`.
    public var descriptors: [String: ProbeText]
    /// Whether standard input, output and error are terminals.
    public var terminal: [Bool]
    /// `ROWSxCOLUMNS`; nil without a terminal, as the next is.
    public var terminalSize: String?
    public var controlsTerminal: Bool?
    public var oomScoreAdjust: ProbeText?
    public var personality: Int
    /// Of AppArmor or SELinux, where the kernel has either.
    public var securityLabel: ProbeText?
    public var process: Int
    public var leadsSession: Bool
    public var niceness: Int

    /// Each a mask, hexadecimal.
    public struct CapabilitySets: Sendable, Hashable, Decodable {
        public var inheritable: String
        public var permitted: String
        public var effective: String
        public var bounding: String
        public var ambient: String
    }

    /// How a path of the kernel's appears.
    public enum Visibility: String, Sendable, Hashable, Decodable {
        case missing, hidden, shown
        case readOnly = "read-only"
    }

    /// - Throws: ``ObservationError/unreadable(detail:)``
    public init(_ bytes: [UInt8]) throws {
        do { self = try CanonicalJSON.decode(Surroundings.self, from: bytes) } catch { throw ObservationError.unreadable(detail: "\(error)") }
    }
}

/// A mount that a process sees (proc_pid_mountinfo(5)).
public struct SeenMount: Sendable, Hashable, Decodable {
    public var point: ProbeText
    /// Of this mount, with commas.
    public var options: String
    /// Whether mounts made here or there show on the other side.
    public var propagates: Bool
    public var type: String
    public var source: ProbeText
    /// Of the file system.
    public var superOptions: ProbeText
}

/// What lies below `/dev`.
public struct SeenDevice: Sendable, Hashable, Decodable {
    public var path: ProbeText
    /// Kind and permissions, octal.
    public var mode: String
    public var owner: String
    /// `MAJOR:MINOR` of a device.
    public var device: String?
    /// Of a link.
    public var target: ProbeText?
}
