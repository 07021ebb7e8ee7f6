import Diagnostics

/// What is wrong in a manifest, and where.
public struct ManifestProblem: Sendable, Hashable {
    /// A JSON path: `$.app.ports[0].port`.
    public var path: String
    public var reason: String
}

/// A manifest that can't be read, or must not be written.
public enum ManifestError: DiagnosedError, Equatable {
    case notJSON
    /// In the order of the document.
    case invalid([ManifestProblem])

    public var diagnosis: Diagnosis {
        switch self {
        case .notJSON: Diagnosis("the manifest is not a JSON object")
        case .invalid(let problems):
            Diagnosis(
                "the manifest is not valid: " + problems.prefix(3).map { "\($0.path) \($0.reason)" }.joined(separator: "; ")
                    + (problems.count > 3 ? "; and \(problems.count - 3) more" : ""),
                hint: "the rules are the appc spec's, aci.md and pods.md")
        }
    }
}
