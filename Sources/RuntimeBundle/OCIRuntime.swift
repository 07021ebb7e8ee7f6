import Files

/// A runtime of PATH that runs OCI bundles.
public enum OCIRuntime: String, Sendable, CaseIterable {
    case runc, crun

    /// Where version 2 of cgroups lies on hosts that have both.
    public static let unifiedHierarchy = "/sys/fs/cgroup/unified"

    /// Whether it runs here at all: crun refuses hosts whose controllers are spread over both versions of cgroups. Where
    /// ``unifiedHierarchy`` isn't mounted, it doesn't mind.
    public var runsHere: Bool {
        guard self == .crun, let controllers = try? OpenFile.open("\(Self.unifiedHierarchy)/cgroup.controllers").readAll(limit: 4096) else { return true }
        return controllers.allSatisfy { $0 == UInt8(ascii: "\n") }
    }

    /// The words that run a bundle in the foreground, to be found in PATH. The runtime ends with the container's exit code, passes
    /// signals on, and leaves nothing behind.
    /// - Parameters:
    ///   - state: a directory of the caller's, for what the runtime notes of the running container.
    ///   - id: unique among the machine's containers: control groups are named by it.
    public func command(bundle: String, state: String, id: String) -> [String] { [rawValue, "--root", state, "run", "--bundle", bundle, id] }
}
