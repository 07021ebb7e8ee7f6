import Diagnostics
import Files

/// The metadata service can't be had.
public enum MetadataError: DiagnosedError, Equatable {
    /// It runs already.
    case running
    /// The port that it is to listen on is taken.
    case portTaken(UInt16)
    /// It didn't answer, or refused the pod.
    case refused(why: String)
    case socket(what: String, code: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .running: Diagnosis("the metadata service runs already", hint: "it needs no second one: it serves all pods of this machine")
        case .portTaken(let port): Diagnosis("port \(port) of this machine is taken", hint: "choose another one with --listen-port")
        case .refused(let why):
            Diagnosis("the metadata service doesn't take the pod: \(why)", hint: "start d2a metadata-service by hand and look at what it says")
        case .socket(let what, let code): Diagnosis("the metadata service: \(what): \(errorText(code))")
        }
    }
}
