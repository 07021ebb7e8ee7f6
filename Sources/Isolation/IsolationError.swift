import Diagnostics
import Files

/// An isolator that makes no sense, or that the kernel refuses.
public enum IsolationError: DiagnosedError, Equatable {
    case badValue(isolator: String, value: String)
    case twice(isolator: String)
    case contradiction(String, String)
    case unknownCapability(String)
    case unknownCall(String)
    case unknownErrno(String)
    case filter(code: Int32)
    /// Memory below what a process takes.
    case tooLittleMemory(bytes: Int64)
    case controlGroup(path: String, what: String, code: Int32)
    /// What `--strict` refuses.
    case unenforced([String])

    public var diagnosis: Diagnosis {
        switch self {
        case .badValue(let isolator, let value): Diagnosis("\(value) is no value for the isolator \(isolator)")
        case .twice(let isolator): Diagnosis("the isolator \(isolator) may be given once only")
        case .contradiction(let one, let other): Diagnosis("the isolators \(one) and \(other) exclude each other")
        case .unknownCapability(let name): Diagnosis("\"\(name)\" is no capability", hint: "names are those of capabilities(7), such as CAP_NET_ADMIN")
        case .unknownCall(let name):
            Diagnosis("\"\(name)\" is no system call or set of them", hint: "sets are @appc.io/all, @docker/default-whitelist, @systemd/mount …")
        case .unknownErrno(let name): Diagnosis("\"\(name)\" is no error of a system call", hint: "names are those of errno(3), such as EPERM")
        case .filter(let code): Diagnosis("can't make the filter of system calls: \(errorText(code))")
        case .tooLittleMemory(let bytes): Diagnosis("a memory limit of \(bytes) bytes is too low", hint: "the least is 4096 bytes")
        case .controlGroup(let path, let what, let code): Diagnosis("can't \(what) the control group \(path): \(errorText(code))")
        case .unenforced(let names):
            Diagnosis("these isolators can't be enforced here: " + names.joined(separator: ", "), hint: "without --strict the app runs without them")
        }
    }
}
