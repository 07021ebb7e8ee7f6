import Diagnostics

/// A pod that can't be entered.
public enum EntryError: DiagnosedError, Equatable {
    case notRunning(uuid: String)
    /// Another runtime has made the app's root.
    case foreign(Stage1Kind)
    /// The pod has several apps, and none was named.
    case whichApp([String])

    public var diagnosis: Diagnosis {
        switch self {
        case .notRunning(let uuid): Diagnosis("pod \"\(uuid)\" isn't currently running")
        case .foreign(let kind): Diagnosis("a pod of \(kind.rawValue) can't be entered", hint: "run it with the built-in stage1")
        case .whichApp(let names): Diagnosis("the pod has several apps: \(names.joined(separator: ", "))", hint: "choose one with --app")
        }
    }
}
