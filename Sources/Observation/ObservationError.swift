import Diagnostics

/// An image can't be watched as it runs.
public enum ObservationError: DiagnosedError, Equatable {
    /// d2a-probe has run and has not said what it found.
    case unreadable(detail: String)
    case badConfiguration(String)
    /// A runtime has done something else than it was asked to.
    case runtime(name: String, reason: String)
    /// A signal came that ends this program.
    case interrupted

    public var diagnosis: Diagnosis {
        switch self {
        case .unreadable(let detail):
            Diagnosis("d2a-probe doesn't say what it found: \(detail)", hint: "it must be of the same version as d2a: install it again")
        case .badConfiguration(let reason): Diagnosis("the image's configuration makes no sense: \(reason)", hint: "fetch or build the image again")
        case .runtime(let name, let reason): Diagnosis("\(name): \(reason)", hint: "see whether it runs containers here at all")
        case .interrupted: Diagnosis("interrupted")
        }
    }
}
