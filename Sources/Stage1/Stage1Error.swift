import Diagnostics
import Files
import Glibc

/// A pod that could not be started.
public enum Stage1Error: DiagnosedError, Equatable {
    /// A step failed before the app ran.
    case setup(what: String, code: Int32)
    /// Here no overlay can be mounted; a copied root works.
    case noOverlay(code: Int32)
    /// Here files can't be shown as those of the pod's users; copies that belong to them work.
    case notShifted(what: String, code: Int32)
    /// The app's program can't be run.
    case notExecuted(program: String, code: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .setup(let what, let code):
            // A failure that is none of a system call's has no code.
            Diagnosis(
                code == 0 ? what : "\(what): \(errorText(code))",
                hint: Self.hint(code))
        case .noOverlay(let code): Diagnosis("can't mount an overlay for the pod: \(errorText(code))", hint: "run it with --no-overlay")
        case .notShifted(let what, let code):
            Diagnosis(
                "\(what): \(errorText(code))",
                hint: "run the pod without --private-users")
        case .notExecuted(let program, let code):
            switch code {
            case ENOENT:
                Diagnosis(
                    "can't run \(program): it isn't in the image, or its interpreter isn't",
                    hint: "look into the image with -- /bin/sh, or name another program")
            case ENOEXEC: Diagnosis("can't run \(program): it is no program for this machine", hint: "fetch the image for this machine's platform")
            default: Diagnosis("can't run \(program): \(errorText(code))")
            }
        }
    }

    /// Exit codes that shells use too: 127 not found, 126 not executable; 254 for the rest.
    public var exitCode: Int32 {
        guard case .notExecuted(_, let code) = self else { return 254 }
        return code == ENOENT || code == ENOTDIR ? 127 : 126
    }

    private static func hint(_ code: Int32) -> String? {
        guard code == EPERM || code == EINVAL else { return nil }
        if UserNamespace.isCurrent { return "users and groups besides root need lines for you in /etc/subuid and /etc/subgid, and newuidmap(1)" }
        return code == EPERM ? "the kernel, or the container this runs in, forbids it: be root of the host, or give the container --privileged" : nil
    }
}
