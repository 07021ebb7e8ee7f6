import Diagnostics
import Glibc

/// A system call on a file failed.
public struct FileError: DiagnosedError, Equatable {
    /// What was tried, as a verb phrase: `open`, `write to`.
    public let operation: String
    public let path: String
    /// `errno` as it was.
    public let code: Int32

    public init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    public var diagnosis: Diagnosis {
        let hint: String? =
            switch code {
            case ENOSPC, EDQUOT: "free some space there, or choose another place with --dir or TMPDIR, and run the command again"
            case EACCES, EPERM: "check who owns it, or run the command as its owner or as root"
            case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
            default: nil
            }
        return Diagnosis("can't \(operation) \(path): \(errorText(code))", hint: hint)
    }
}

/// The system's words for an `errno` value.
public func errorText(_ code: Int32) -> String { String(cString: strerror(code)) }
