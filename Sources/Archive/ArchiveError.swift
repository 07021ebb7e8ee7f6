import Diagnostics

/// Bytes that are not what they should be. Where they came from is added by whoever knows (a layer's digest, a file's name).
public enum ArchiveError: DiagnosedError, Equatable {
    /// The input ends in the middle.
    case truncated
    /// A compressed stream makes no sense: the codec's name and its word for it.
    case corrupt(codec: String, reason: String)
    /// A tar's structure makes no sense.
    case badArchive(reason: String)
    /// An entry that no image may have.
    case badEntry(name: [UInt8], reason: String)
    /// More than somebody allows, by an option.
    case beyondLimit(option: String, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .truncated: Diagnosis("the data ends in the middle")
        case .corrupt(let codec, let reason): Diagnosis("the \(codec) data is corrupt: \(reason)")
        case .badArchive(let reason): Diagnosis("not a readable tar archive: \(reason)")
        case .beyondLimit(let option, let reason): Diagnosis("\(reason), more than \(option) allows")
        case .badEntry(let name, let reason): Diagnosis("entry \"\(String(decoding: name, as: UTF8.self))\" \(reason)")
        }
    }
}
