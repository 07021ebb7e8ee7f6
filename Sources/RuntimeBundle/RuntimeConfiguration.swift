/// The `config.json` of an OCI runtime bundle, as runc and crun read it (OCI runtime-spec 1.0.2, `config.md`): the part of it
/// that this project sets.
public struct RuntimeConfiguration: Sendable, Equatable, Codable {
    public var ociVersion = "1.0.2"
    public var process: Process
    public var root: Root
    public var hostname: String?
    /// In the order in which they are made.
    public var mounts: [Mount]
    public var linux: Linux
    public var annotations: [String: String]?

    public init(process: Process, root: Root, hostname: String?, mounts: [Mount], linux: Linux) {
        (self.process, self.root, self.hostname, self.mounts, self.linux) = (process, root, hostname, mounts, linux)
    }

    public struct Root: Sendable, Equatable, Codable {
        /// Absolute, or relative to the bundle.
        public var path: String
        public var readonly: Bool

        public init(path: String, readonly: Bool = false) {
            self.path = path
            self.readonly = readonly
        }
    }

    public struct Process: Sendable, Equatable, Codable {
        public var terminal: Bool
        public var user: User
        /// Program and arguments; a program without a slash is looked for in the `PATH` of `env`.
        public var args: [String]
        /// `NAME=VALUE` each.
        public var env: [String]
        public var cwd: String
        public var capabilities: Capabilities?
        public var rlimits: [Limit]?
        public var noNewPrivileges: Bool
        public var oomScoreAdj: Int?
        public var apparmorProfile: String?
        public var selinuxLabel: String?

        public init(args: [String], env: [String], cwd: String, user: User, terminal: Bool = false) {
            (self.args, self.env, self.cwd, self.user, self.terminal) = (args, env, cwd, user, terminal)
            noNewPrivileges = false
        }
    }

    public struct User: Sendable, Equatable, Codable {
        public var uid: UInt32
        public var gid: UInt32
        public var additionalGids: [UInt32]?

        public init(uid: UInt32, gid: UInt32, additionalGids: [UInt32]? = nil) {
            (self.uid, self.gid, self.additionalGids) = (uid, gid, additionalGids)
        }
    }

    /// Names of capabilities, `CAP_CHOWN`. A set that is missing is empty.
    public struct Capabilities: Sendable, Equatable, Codable {
        public var bounding: [String]?
        public var effective: [String]?
        public var permitted: [String]?
        public var inheritable: [String]?
        public var ambient: [String]?

        /// What an engine gives: the bounding set to everybody, the rest to root alone, which is what exec makes of it.
        public init(_ names: [String], user: UInt32) {
            bounding = names
            if user == 0 { (effective, permitted) = (names, names) }
        }
    }

    public struct Limit: Sendable, Equatable, Codable {
        /// `RLIMIT_NOFILE`.
        public var type: String
        public var hard: UInt64
        public var soft: UInt64

        public init(_ type: String, soft: UInt64, hard: UInt64) { (self.type, self.soft, self.hard) = (type, soft, hard) }
    }

    public struct Mount: Sendable, Equatable, Codable {
        public var destination: String
        public var type: String
        public var source: String
        public var options: [String]

        public init(_ destination: String, type: String, source: String, _ options: [String]) {
            (self.destination, self.type, self.source, self.options) = (destination, type, source, options)
        }

        /// Something of the host's at a path of the container's.
        public static func bind(_ source: String, at destination: String, readOnly: Bool = false, recursive: Bool = true) -> Mount {
            let access = readOnly ? "ro" : "rw"
            // crun takes rprivate for a wish to have all mounts.
            return Mount(destination, type: "bind", source: source, recursive ? ["rbind", "rprivate", access] : ["bind", "private", access])
        }
    }

    public struct Namespace: Sendable, Equatable, Codable {
        /// `pid`, `network`, `ipc`, `uts`, `mount`, `user`, `cgroup`.
        public var type: String
        /// Of one that is there already; nil makes a new one.
        public var path: String?

        public init(_ type: String, path: String? = nil) { (self.type, self.path) = (type, path) }
    }

    public struct Device: Sendable, Equatable, Codable {
        public var path: String
        /// `c` or `b`.
        public var type: String
        public var major: Int
        public var minor: Int
        public var fileMode: UInt32
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0

        public init(_ path: String, type: String = "c", _ major: Int, _ minor: Int, mode: UInt32 = 0o666) {
            (self.path, self.type, self.major, self.minor, fileMode) = (path, type, major, minor, mode)
        }
    }

    public struct DeviceRule: Sendable, Equatable, Codable {
        public var allow: Bool
        /// nil: all.
        public var type: String?
        public var major: Int?
        public var minor: Int?
        /// Some of `rwm`.
        public var access: String

        public init(allow: Bool, type: String? = nil, major: Int? = nil, minor: Int? = nil, access: String = "rwm") {
            (self.allow, self.type, self.major, self.minor, self.access) = (allow, type, major, minor, access)
        }
    }

    public struct Resources: Sendable, Equatable, Codable {
        public struct Memory: Sendable, Equatable, Codable {
            /// Bytes.
            public var limit: Int64?
            public var reservation: Int64?

            public init(limit: Int64? = nil, reservation: Int64? = nil) { (self.limit, self.reservation) = (limit, reservation) }
        }
        public struct CPU: Sendable, Equatable, Codable {
            public var shares: UInt64?
            /// Microseconds in each period.
            public var quota: Int64?
            public var period: UInt64?

            public init(shares: UInt64? = nil, quota: Int64? = nil, period: UInt64? = nil) {
                (self.shares, self.quota, self.period) = (shares, quota, period)
            }
        }
        public struct BlockIO: Sendable, Equatable, Codable {
            /// So much a second, of one device.
            public struct Throttle: Sendable, Equatable, Codable {
                public var major: Int
                public var minor: Int
                public var rate: UInt64

                public init(_ major: Int, _ minor: Int, rate: UInt64) { (self.major, self.minor, self.rate) = (major, minor, rate) }
            }
            public var throttleReadBpsDevice: [Throttle]?
            public var throttleWriteBpsDevice: [Throttle]?
            public var throttleReadIOPSDevice: [Throttle]?
            public var throttleWriteIOPSDevice: [Throttle]?

            /// The same in both directions.
            public init(bytes: [Throttle]?, operations: [Throttle]?) {
                (throttleReadBpsDevice, throttleWriteBpsDevice) = (bytes, bytes)
                (throttleReadIOPSDevice, throttleWriteIOPSDevice) = (operations, operations)
            }
        }
        public var devices: [DeviceRule]?
        public var memory: Memory?
        public var cpu: CPU?
        public var blockIO: BlockIO?

        public init(devices: [DeviceRule]? = nil, memory: Memory? = nil, cpu: CPU? = nil) { (self.devices, self.memory, self.cpu) = (devices, memory, cpu) }
    }

    /// A filter of system calls. A call gets the first action whose conditions hold, else the default one.
    public struct Seccomp: Sendable, Equatable, Codable {
        /// A condition on an argument of a call.
        public struct Argument: Sendable, Equatable, Codable {
            public enum Comparison: String, Sendable, Codable {
                case equal = "SCMP_CMP_EQ"
                case unequal = "SCMP_CMP_NE"
                /// argument & `value` == `valueTwo`
                case masked = "SCMP_CMP_MASKED_EQ"
            }
            /// From 0.
            public var index: UInt32
            public var value: UInt64
            public var valueTwo: UInt64?
            public var op: Comparison

            public init(_ index: UInt32, _ op: Comparison, _ value: UInt64, _ valueTwo: UInt64? = nil) {
                (self.index, self.op, self.value, self.valueTwo) = (index, op, value, valueTwo)
            }
        }
        public struct Rule: Sendable, Equatable, Codable {
            public var names: [String]
            /// `SCMP_ACT_ALLOW`, `SCMP_ACT_ERRNO` with a number, `SCMP_ACT_KILL_PROCESS`.
            public var action: String
            public var errnoRet: UInt32?
            /// All must hold.
            public var args: [Argument]?

            public init(_ names: [String], _ action: String, errnoRet: UInt32? = nil, args: [Argument]? = nil) {
                (self.names, self.action, self.errnoRet, self.args) = (names, action, errnoRet, args)
            }
        }
        public var defaultAction: String
        public var defaultErrnoRet: UInt32?
        public var architectures: [String]?
        public var syscalls: [Rule]

        public init(defaultAction: String, defaultErrnoRet: UInt32? = nil, architectures: [String]? = nil, syscalls: [Rule] = []) {
            (self.defaultAction, self.defaultErrnoRet, self.architectures, self.syscalls) = (defaultAction, defaultErrnoRet, architectures, syscalls)
        }
    }

    public struct Linux: Sendable, Equatable, Codable {
        public var namespaces: [Namespace]
        /// Beside those that every runtime makes: null, zero, full, random, urandom, tty.
        public var devices: [Device]?
        public var maskedPaths: [String]
        public var readonlyPaths: [String]
        /// Below the mounts of the controllers; nil leaves it to the runtime.
        public var cgroupsPath: String?
        public var resources: Resources?
        public var seccomp: Seccomp?
        public var sysctl: [String: String]?

        public init(namespaces: [Namespace], maskedPaths: [String], readonlyPaths: [String]) {
            (self.namespaces, self.maskedPaths, self.readonlyPaths) = (namespaces, maskedPaths, readonlyPaths)
        }
    }
}
