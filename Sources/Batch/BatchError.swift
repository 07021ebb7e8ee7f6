import Diagnostics

/// A list that can't be read.
public enum BatchError: DiagnosedError, Equatable {
    case badLine(list: String, line: Int, reason: String)
    case emptyList(String)
    /// There is no such image in the list, which has so many.
    case noSuchIndex(Int, count: Int)
    /// There is no such task in the batch, which has so many.
    case noSuchTask(Int, count: Int)
    /// Nothing says which task this is.
    case noTask(variables: [String])
    case badTask(variable: String, value: String)
    /// A file of the batch's directory can't be understood.
    case damaged(String)
    /// Nothing says which images there should be.
    case noSubmission(String)
    case listTooLong(limit: Int)
    /// An engine's program doesn't take the job.
    case notSubmitted(program: String, status: Int)

    public var diagnosis: Diagnosis {
        switch self {
        case .badLine(let list, let line, let reason):
            Diagnosis("\(list):\(line): \(reason)", hint: "a line is an image, a JSON object with its reference, or a row of CSV under a header: docs/batch.md")
        case .emptyList(let list): Diagnosis("\(list) names no image", hint: "write an image a line")
        case .noSuchIndex(let index, let count):
            Diagnosis("the list has no image \(index)", hint: count == 0 ? nil : "its images are 0 to \(count - 1)")
        case .noSuchTask(let task, let count):
            Diagnosis("the batch has no task \(task)", hint: count == 0 ? nil : "its tasks are 0 to \(count - 1); --chunk must be what it was submitted with")
        case .noTask(let variables):
            Diagnosis("nothing says which task this is", hint: "give its index, or set one of \(variables.joined(separator: ", "))")
        case .badTask(let variable, let value): Diagnosis("\(variable) is \"\(value)\", which is no index of a task", hint: "it should be 0 or more")
        case .damaged(let path): Diagnosis("\(path) can't be understood", hint: "remove it, and submit the batch again")
        case .noSubmission(let path):
            Diagnosis("\(path) has no batch that was shared out among tasks", hint: "none of its tasks has begun; or name the list: d2a batch collect DIR LIST")
        case .listTooLong(let limit):
            Diagnosis(
                "the list is longer than \(limit) bytes, which is what a ConfigMap holds", hint: "submit it in parts, each to a directory of its own")
        case .notSubmitted(let program, let status):
            Diagnosis("\(program) ends with status \(status): the job is not submitted", hint: "--dry-run prints what it is given")
        }
    }
}
