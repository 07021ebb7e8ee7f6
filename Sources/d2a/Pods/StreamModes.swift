import AppC
import Glibc
import Pod
import Stage1

/// What an app's standard streams are to be, as rkt's annotations say it.
struct StreamModes {
    static let prefix = "coreos.com/rkt/stage2/"

    private let modes: [String?]

    init(of app: PodManifestApp) {
        modes = ["stdin", "stdout", "stderr"].map { name in app.annotations?.first { $0.name == Self.prefix + name }?.value }
    }

    /// - Parameters:
    ///   - isAlone: whether the pod has no other app, and so this one has the caller's input and terminal.
    ///   - interactive: whether the app is to have a terminal whatever its output is.
    func streams(isAlone: Bool, interactive: Bool) -> [AppStream] {
        let terminal = isatty(STDIN_FILENO) == 1 && isAlone && (interactive || isatty(STDOUT_FILENO) == 1)
        return modes.enumerated().map { stream, mode in
            switch mode {
            case "null": .null
            case "log": .log
            case "tty": .terminal
            case "stream": .inherited
            default: stream == 0 ? (terminal ? .terminal : isAlone ? .inherited : .null) : .inherited
            }
        }
    }
}

extension [AppStream] {
    var hasTerminal: Bool { contains { if case .terminal = $0 { true } else { false } } }
}
