/// Where a pod's directory lies, below `pods` of the data directory. A pod moves on by `rename(2)`.
public enum PodPhase: String, Sendable, CaseIterable {
    /// Being made.
    case embryo
    /// Its images are being fetched and rendered.
    case prepare
    /// Waits for `d2a run-prepared`.
    case prepared
    case run
    /// Has run, and is marked for removal.
    case exitedGarbage = "exited-garbage"
    /// Never ran, and is marked for removal.
    case garbage
}

/// What a pod is doing: its phase, and whether anybody holds the lock on its directory.
public enum PodState: String, Sendable {
    case embryo
    case preparing
    case abortedPrepare = "aborted prepare"
    case prepared
    case running
    case exited
    case exitedDeleting = "exited deleting"
    case exitedGarbage = "exited garbage"
    case deleting
    case garbage

    public init(_ phase: PodPhase, locked: Bool) {
        switch phase {
        case .embryo: self = .embryo
        case .prepare: self = locked ? .preparing : .abortedPrepare
        case .prepared: self = .prepared
        case .run: self = locked ? .running : .exited
        case .exitedGarbage: self = locked ? .exitedDeleting : .exitedGarbage
        case .garbage: self = locked ? .deleting : .garbage
        }
    }

    /// Whether the pod ran and does so no more.
    public var hasExited: Bool { [.exited, .exitedDeleting, .exitedGarbage].contains(self) }
}
