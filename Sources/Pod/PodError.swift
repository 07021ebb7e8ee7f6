import Diagnostics

/// A pod that can't be prepared.
public enum PodError: DiagnosedError, Equatable {
    /// Neither the image nor the command line names a program.
    case nothingToRun(image: String)
    case unknownUser(String)
    case unknownGroup(String)
    /// A name or value that no process can be given.
    case unusable(what: String, value: String)
    case notAbsolute(what: String, path: String)
    /// Two apps of a pod have one name.
    case nameTwice(String)
    /// A mount of a volume that the pod hasn't.
    case noVolume(String, path: String)
    case mountedTwice(path: String)
    case noManifest(uuid: String)
    case noSuchPod(String)
    case notPrepared(uuid: String)
    case notExited(uuid: String)
    case ambiguousPod(String, count: Int)

    public var diagnosis: Diagnosis {
        switch self {
        case .nothingToRun(let image): Diagnosis("\(image) names no program to run", hint: "give one after --, for instance: -- /bin/sh")
        case .unknownUser(let user): Diagnosis("the image has no user \(user)", hint: "give a number or another name with --user")
        case .unknownGroup(let group): Diagnosis("the image has no group \(group)", hint: "give a number or another name with --group")
        case .unusable(let what, let value): Diagnosis("\"\(value)\" can't be a \(what)")
        case .notAbsolute(let what, let path): Diagnosis("the \(what) \"\(path)\" is not an absolute path")
        case .nameTwice(let name): Diagnosis("two apps have the name \(name)", hint: "give one of them another with --name")
        case .noVolume(let volume, let path):
            Diagnosis("\(path) is to hold the volume \(volume), and the pod has none of that name", hint: "add it with --volume")
        case .mountedTwice(let path): Diagnosis("two volumes are to be mounted at \(path)")
        case .noManifest(let uuid): Diagnosis("the pod \(uuid) has no readable manifest")
        case .notExited(let uuid): Diagnosis("pod \"\(uuid)\" has not ended", hint: "d2a stop ends it, and d2a status --wait waits for that")
        case .notPrepared(let uuid): Diagnosis("pod \"\(uuid)\" is not prepared", hint: "see what pods there are with d2a list")
        case .noSuchPod(let prefix): Diagnosis("no matches found for \"\(prefix)\"", hint: "see what pods there are with d2a list")
        case .ambiguousPod(let prefix, let count): Diagnosis("ambiguous uuid, \(count) matches", hint: "give more of \"\(prefix)\"")
        }
    }
}
