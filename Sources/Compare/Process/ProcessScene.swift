import Observation

/// What was seen of an image's process on one side.
public struct ProcessSide: Sendable {
    /// What the probe found; nil where it wasn't started, which ``refusal`` explains.
    public var surroundings: Surroundings?
    public var refusal: String?
    /// What became of the image's own program; nil where it was not run.
    public var run: RunRecord?

    public init(surroundings: Surroundings?, refusal: String? = nil, run: RunRecord? = nil) {
        (self.surroundings, self.refusal, self.run) = (surroundings, refusal, run)
    }
}

/// Who runs containers on Docker's side.
public enum ContainerRunner: String, Sendable, CaseIterable {
    /// The engine itself, or podman in its place.
    case docker, podman
    /// An OCI runtime, with the container that Docker documents.
    case runc, crun
}

/// What is known beforehand, and so what rules expect.
public struct ProcessScene: Sendable {
    public var runner: ContainerRunner
    public var settings: DockerSettings
    public var conditions: RunConditions
    /// What was given in place of the image's CMD.
    public var arguments: [String]
    /// What the pod calls its app.
    public var appName: String
    /// Of the app's user, where the image's `/etc/passwd` has one.
    public var userName: String?
    /// The image's own `/etc/resolv.conf`.
    public var imageResolver: [UInt8]?
    public var host: HostView

    public init(
        runner: ContainerRunner, settings: DockerSettings, conditions: RunConditions, arguments: [String], appName: String, userName: String?,
        imageResolver: [UInt8]?, host: HostView
    ) {
        (self.runner, self.settings, self.conditions, self.arguments, self.appName) = (runner, settings, conditions, arguments, appName)
        (self.userName, self.imageResolver, self.host) = (userName, imageResolver, host)
    }

}

/// What of this machine shows on both sides.
public struct HostView: Sendable {
    /// What the probe finds outside of any container, started by d2a.
    public var surroundings: Surroundings
    /// The kind of the person's terminal.
    public var terminalKind: String
    /// Whether version 2 of control groups is the only one.
    public var hasUnifiedGroups: Bool
    /// As the kernel lists them: `0-3`.
    public var processors: String
    /// Whether d2a is anyone but root.
    public var isRootless: Bool

    public init(surroundings: Surroundings, terminalKind: String, hasUnifiedGroups: Bool, processors: String, isRootless: Bool) {
        (self.surroundings, self.terminalKind, self.hasUnifiedGroups) = (surroundings, terminalKind, hasUnifiedGroups)
        (self.processors, self.isRootless) = (processors, isRootless)
    }
}
