import Diagnostics

/// A pod that can't be prepared.
public enum PodError: DiagnosedError, Equatable {
    /// Neither the image nor the command line names a program.
    case nothingToRun(image: String)
    case unknownUser(String)
    case unknownGroup(String)
    /// A name or value that no process can be given.
    case unusable(what: String, value: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .nothingToRun(let image): Diagnosis("\(image) names no program to run", hint: "give one after --, for instance: -- /bin/sh")
        case .unknownUser(let user): Diagnosis("the image has no user \(user)", hint: "give a number or another name with --user")
        case .unknownGroup(let group): Diagnosis("the image has no group \(group)", hint: "give a number or another name with --group")
        case .unusable(let what, let value): Diagnosis("\"\(value)\" can't be a \(what)")
        }
    }
}
