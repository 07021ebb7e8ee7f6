import Diagnostics

/// The Docker engine doesn't give an image.
public enum EngineError: DiagnosedError, Equatable {
    /// `DOCKER_HOST` is nothing that can be spoken to.
    case badAddress(String)
    /// What TLS with it takes can't be had.
    case badCertificates(path: String, reason: String)
    case unreachable(address: String, reason: String)
    case refused(name: String, status: Int, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badAddress(let text):
            Diagnosis("DOCKER_HOST is \"\(text)\", which d2a can't speak to", hint: "use unix:///PATH or tcp://HOST:PORT, or docker save")
        case .badCertificates(let path, let reason):
            Diagnosis("\(path): \(reason)", hint: "DOCKER_CERT_PATH names the directory of ca.pem, cert.pem and key.pem")
        case .unreachable(let address, let reason):
            Diagnosis("can't reach the Docker engine at \(address): \(reason)", hint: "see whether it runs and you may use it; $DOCKER_HOST says where it is")
        case .refused(let name, let status, let reason):
            Diagnosis(
                "the Docker engine answers \(status) for \(name)\(reason.isEmpty ? "" : ": \(reason)")",
                hint: status == 404 ? "docker images lists what it has" : nil)
        }
    }
}
