import Diagnostics

/// Words that make no command for a pod.
public enum GrammarError: DiagnosedError, Equatable {
    case beforeImage(option: String)
    case secondArguments(image: String)
    case emptyImage

    public var diagnosis: Diagnosis {
        switch self {
        case .beforeImage(let option): Diagnosis("--\(option) must follow an image", hint: "it is about one app: put it behind the image it is for")
        case .secondArguments(let image):
            Diagnosis("only one set of app arguments allowed per image", hint: "end those of \(image) with --- and name another image")
        case .emptyImage: Diagnosis("an image without a name", hint: "name what to run: busybox, a file, or an ID; an empty variable may stand there")
        }
    }
}
