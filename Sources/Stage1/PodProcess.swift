import AppC
import Files
import Pod
import RuntimeBundle

/// Where an app's root comes from.
public enum PodRoot: Sendable, Equatable {
    /// A layer of the app's own above a rendered tree, whose path is relative to the data directory.
    case overlay(tree: String)
    /// The app's `rootfs` directory, which holds the whole tree already.
    case copy
}

/// The network that a pod sees.
public enum PodNetwork: Sendable {
    /// The host's.
    case host
    /// Loopback alone, in a network namespace of the pod's own.
    case none
    /// A network namespace that was made before.
    case joined(any DescriptorOwner)
}

/// Who makes an app's root and starts its program.
public enum Stage1Kind: String, Sendable, CaseIterable {
    /// d2a-stage1, with all isolation.
    case builtin
    /// d2a-stage1, but the app sees the host's processes, devices, network and names, and has all rights: as rkt's fly.
    case chroot
    /// An OCI runtime of PATH, inside the pod's namespaces.
    case runc, crun
}

/// What a pod is besides its apps.
public struct PodSettings: Sendable {
    public var stage1: Stage1Kind = .builtin
    public var network: PodNetwork = .host
    /// Whether the pod shares the IPC namespace of the host.
    public var hostIPC = false
    /// At most 64 bytes.
    public var hostname: String
    /// What the apps see as these files; the image's own where nil.
    public var hosts: String?
    public var resolver: String?
    /// The files by which process 1 joins the pod's own groups.
    public var cgroups: [any DescriptorOwner] = []
    /// Kernel parameters of the pod's own namespaces, by key: `kernel.shmmax`.
    public var parameters: [(key: String, value: String)] = []
    /// Milliseconds between TERM and KILL where a pod is to end.
    public var stopTimeout = 10_000
    /// Whether paths of the kernel's that concern the host are hidden or read-only.
    public var hidesKernelPaths = true
    /// The users of the pod's own, where root runs it.
    public var users: PodUsers?
    /// Whether the pod's directory goes with its last process.
    public var removeAtEnd = false

    public init(hostname: String) { self.hostname = hostname }
}

/// What an app's process may do.
public struct AppLimits: Sendable {
    /// What the process and all that it starts can ever have, and what root has.
    public var bounding: Capabilities
    public var inheritable: Capabilities = []
    /// What a user other than root has.
    public var ambient: Capabilities = []
    public var noNewPrivileges = false
    /// A filter of system calls: the bytes of a program of `struct sock_filter` (seccomp(2)).
    public var filter: [UInt8]?
    /// -1000 to 1000; the caller's where nil.
    public var oomScoreAdjust: Int?
    /// What a security module runs the app as: the file to which a word is written for it, and the word.
    public var labels: [(file: String, word: String)] = []
    /// The files by which the app joins its own groups.
    public var cgroups: [any DescriptorOwner] = []
    /// What an OCI runtime enforces where it starts the app, in place of ``filter``, ``labels`` and ``cgroups``.
    public var runtime = RuntimeLimits()

    public init(bounding: Capabilities) { self.bounding = bounding }
}

/// What an OCI runtime is to enforce of an app's limits.
public struct RuntimeLimits: Sendable {
    /// No filter of system calls where nil.
    public var seccomp: RuntimeConfiguration.Seccomp?
    /// The app's control group, below where the hierarchies are mounted.
    public var group: String?
    public var resources = RuntimeConfiguration.Resources()
    /// `user:role:type:level`
    public var selinuxContext: String?
    public var appArmorProfile: String?

    public init() {}
}

/// What one of an app's standard streams is.
public enum AppStream: Sendable {
    /// What d2a's is.
    case inherited
    case null
    /// The app's terminal.
    case terminal
    /// The file `log` of the app's directory.
    case log
}

/// A port that an app finds open when it starts (appc spec `aci.md`, `socketActivated`).
public struct AppSocket: Sendable {
    public enum Source: Sendable {
        /// Made in the pod's network: `tcp` or `udp`.
        case new(String)
        /// Somebody's who has started us so.
        case given(any DescriptorOwner)
    }

    public var name: String
    public var port: UInt16
    public var source: Source

    public init(name: String, port: UInt16, source: Source) { (self.name, self.port, self.source) = (name, port, source) }
}

/// An app, ready to be started.
public struct AppProcess: Sendable {
    public var app: PodApp
    public var root: PodRoot
    public var limits: AppLimits
    /// Standard input, output and error.
    public var streams: [AppStream]
    /// What it finds listening, from descriptor 3 on.
    public var sockets: [AppSocket] = []

    var hasTerminal: Bool { streams.contains { if case .terminal = $0 { true } else { false } } }

    /// Which descriptors are whose is ours to say.
    var environment: [NamedValue] { sockets.isEmpty ? app.environment : app.environment.filter { !$0.name.hasPrefix("LISTEN_") } }

    public init(_ app: PodApp, root: PodRoot, streams: [AppStream] = [.inherited, .inherited, .inherited]) {
        (self.app, self.root, self.streams) = (app, root, streams)
        limits = AppLimits(bounding: app.capabilities)
    }
}
