import Diagnostics

/// A tree can't be listed.
public enum ListingError: DiagnosedError, Equatable {
    /// A listing isn't one, or was cut off.
    case damaged
    /// A hard link leads to nothing.
    case noTarget(path: [UInt8], target: [UInt8])
    /// A thing changed while it was read.
    case changed(path: [UInt8])

    public var diagnosis: Diagnosis {
        func name(_ path: [UInt8]) -> String { "\"\(String(decoding: path.prefix(200), as: UTF8.self))\"" }
        switch self {
        case .damaged: return Diagnosis("the list of files is damaged", hint: "see whether the disk is full, and run the command again")
        case .noTarget(let path, let target): return Diagnosis("\(name(path)) is a hard link to \(name(target)), which is not there")
        case .changed(let path): return Diagnosis("\(name(path)) changed while it was read", hint: "compare what nobody is writing to")
        }
    }
}
