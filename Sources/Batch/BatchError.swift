import Diagnostics

/// A list that can't be read.
public enum BatchError: DiagnosedError, Equatable {
    case badLine(list: String, line: Int, reason: String)
    case emptyList(String)
    /// There is no such image in the list, which has so many.
    case noSuchIndex(Int, count: Int)

    public var diagnosis: Diagnosis {
        switch self {
        case .badLine(let list, let line, let reason):
            Diagnosis("\(list):\(line): \(reason)", hint: "a line is an image, a JSON object with its reference, or a row of CSV under a header: docs/batch.md")
        case .emptyList(let list): Diagnosis("\(list) names no image", hint: "write an image a line")
        case .noSuchIndex(let index, let count):
            Diagnosis("the list has no image \(index)", hint: count == 0 ? nil : "its images are 0 to \(count - 1)")
        }
    }
}
