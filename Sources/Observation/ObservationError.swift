import Diagnostics

/// An image can't be watched as it runs.
public enum ObservationError: DiagnosedError, Equatable {
    /// d2a-probe has run and has not said what it found.
    case unreadable(detail: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .unreadable(let detail):
            Diagnosis("d2a-probe doesn't say what it found: \(detail)", hint: "it must be of the same version as d2a: install it again")
        }
    }
}
