import Files
import Transport

/// Where the Docker engine is and how it is spoken to, as docker's own client reads it from the environment.
///
/// `DOCKER_HOST` is `unix:///PATH`, `tcp://HOST[:PORT]` or `HOST:PORT`. By TCP, `DOCKER_TLS_VERIFY` asks for TLS, `DOCKER_TLS` for TLS with any
/// certificate, by the files `ca.pem`, `cert.pem` and `key.pem` in `DOCKER_CERT_PATH`, which is `$DOCKER_CONFIG` or `~/.docker` where it isn't set
/// (docs.docker.com, "docker CLI environment variables").
public struct EngineAddress: Sendable {
    /// What the person calls the place.
    public let place: String
    /// `http://HOST:PORT`
    let base: String
    let options: TransportOptions

    /// - Parameter address: in place of what the environment says, and without TLS.
    /// - Throws: ``EngineError/badAddress(_:)``, ``EngineError/badCertificates(path:reason:)``
    public init(at address: String? = nil) throws(EngineError) {
        place = address ?? environmentVariable("DOCKER_HOST") ?? "unix:///var/run/docker.sock"
        var options = TransportOptions()
        // A program may be silent for as long as it likes, and asking twice for a container would make two.
        (options.stallTimeout, options.retries) = (0, 0)
        let parts = place.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        switch (parts.count == 1 ? "tcp" : parts[0], parts.last!) {
        case ("unix", let path) where path.hasPrefix("/"):
            options.unixSocket = String(path)
            base = "http://127.0.0.1"
        case ("tcp", let host) where !host.isEmpty:
            let verifies = address == nil && environmentVariable("DOCKER_TLS_VERIFY") != nil
            let usesTLS = verifies || address == nil && environmentVariable("DOCKER_TLS") != nil
            let scheme = usesTLS ? "https" : "http"
            guard let given = WebAddress("\(scheme)://\(host)") else { throw .badAddress(place) }
            // The engine's own ports, not those of the web.
            let hasPort = host.last { $0 == ":" || $0 == "]" } == ":"
            guard let origin = hasPort ? given : WebAddress("\(scheme)://\(given.host):\(usesTLS ? 2376 : 2375)") else { throw .badAddress(place) }
            base = "\(scheme)://\(origin.host):\(origin.port)"
            if usesTLS { try Self.addFiles(to: &options, for: origin, verifies: verifies) }
        default: throw .badAddress(place)
        }
        self.options = options
    }

    /// What the environment says, for those who can't read files any more when they want to know.
    public static var ofEnvironment: Result<EngineAddress, EngineError> { Result { () throws(EngineError) in try EngineAddress() } }

    private static func addFiles(to options: inout TransportOptions, for origin: WebAddress, verifies: Bool) throws(EngineError) {
        guard
            let directory = environmentVariable("DOCKER_CERT_PATH") ?? environmentVariable("DOCKER_CONFIG")
                ?? environmentVariable("HOME").map({ $0 + "/.docker" })
        else { return }
        func text(_ name: String) throws(EngineError) -> String? {
            let path = "\(directory)/\(name)"
            guard OpenFile.isFile(path) else { return nil }
            do { return String(decoding: try OpenFile.open(path).readAll(limit: 1 << 20), as: UTF8.self) } catch {
                throw .badCertificates(path: path, reason: errorText(error.code))
            }
        }
        options.insecureSkipVerify = !verifies
        options.roots = try text("ca.pem")
        switch (try text("cert.pem"), try text("key.pem")) {
        case (let certificate?, let key?): options.identity = (origin, certificate, key)
        case (nil, nil): break
        case (nil, _): throw .badCertificates(path: directory, reason: "it has key.pem, but no cert.pem")
        case (_, nil): throw .badCertificates(path: directory, reason: "it has cert.pem, but no key.pem")
        }
    }
}
