/// Names of processors, which Docker and appc spell differently (appc spec `aci.md`, labels `os` and `arch`).
public enum Architecture {
    /// The systems that the spec knows, and the processors of each.
    public static let valid = [
        "linux": ["amd64", "i386", "aarch64", "aarch64_be", "armv6l", "armv7l", "armv7b", "ppc64", "ppc64le", "s390x"],
        "freebsd": ["amd64", "i386", "arm"],
        "darwin": ["x86_64", "i386"],
    ]

    /// The appc name for Docker's (Go's) name and variant.
    /// - Returns: nil for a pair that the spec doesn't know.
    public static func appc(os: String, architecture: String, variant: String?) -> String? {
        let version = variant.map { $0.hasPrefix("v") ? String($0.dropFirst()) : $0 } ?? ""
        switch (os, architecture, version) {
        case ("linux", "amd64", _): return "amd64"
        case ("linux", "386", _): return "i386"
        case ("linux", "arm64", ""), ("linux", "arm64", "8"): return "aarch64"
        case ("linux", "arm", ""), ("linux", "arm", "5"), ("linux", "arm", "6"): return "armv6l"
        case ("linux", "arm", "7"), ("linux", "arm", "8"): return "armv7l"
        case ("linux", "ppc64", _), ("linux", "ppc64le", _), ("linux", "s390x", _): return architecture
        case ("freebsd", "amd64", _): return "amd64"
        case ("freebsd", "386", _): return "i386"
        case ("freebsd", "arm", _): return "arm"
        case ("darwin", "amd64", _): return "x86_64"
        case ("darwin", "386", _): return "i386"
        default: return nil
        }
    }
}
