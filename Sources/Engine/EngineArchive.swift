import AppC
import Diagnostics
import Files
import Glibc
import Transport

/// The Docker engine doesn't give an image.
public enum EngineError: DiagnosedError, Equatable {
    /// `DOCKER_HOST` is nothing that can be spoken to.
    case badAddress(String)
    case unreachable(address: String, reason: String)
    case refused(name: String, status: Int, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badAddress(let text):
            Diagnosis("DOCKER_HOST is \"\(text)\", which d2a can't speak to", hint: "use unix:///PATH or tcp://HOST:PORT without TLS, or docker save")
        case .unreachable(let address, let reason):
            Diagnosis("can't reach the Docker engine at \(address): \(reason)", hint: "see whether it runs and you may use it; $DOCKER_HOST says where it is")
        case .refused(let name, let status, let reason):
            Diagnosis(
                "the Docker engine answers \(status) for \(name)\(reason.isEmpty ? "" : ": \(reason)")",
                hint: status == 404 ? "docker images lists what it has" : nil)
        }
    }
}

/// Images of the Docker engine, which gives them out as `docker save` writes them (Engine API, `GET /images/{name}/get`). It is at
/// `$DOCKER_HOST`, or where it is by default.
public enum EngineArchive {
    private struct Message: Decodable { var message: String? }

    /// Fetches an image as an archive. Nothing of the archive is looked at.
    /// - Parameter file: empty.
    /// - Throws: ``EngineError``, `FileError`.
    public static func fetch(_ name: String, into file: OpenFile) throws {
        let place = environmentVariable("DOCKER_HOST") ?? "unix:///var/run/docker.sock"
        var options = TransportOptions()
        var host = "127.0.0.1"
        if place.hasPrefix("unix://") {
            options.unixSocket = String(place.dropFirst("unix://".count))
        } else {
            guard place.hasPrefix("tcp://"), environmentVariable("DOCKER_TLS_VERIFY") == nil else { throw EngineError.badAddress(place) }
            host = String(place.dropFirst("tcp://".count))
        }
        guard let address = WebAddress("http://\(host)/images/\(name)/get") else { throw EngineError.badAddress(place) }
        let response: HTTPResponse
        do { response = try HTTPClient(options).get(address) { try file.write($1) } } catch let error as TransportError {
            throw EngineError.unreachable(address: place, reason: error.reason)
        }
        guard response.isSuccess else {
            let reason = (try? CanonicalJSON.decode(Message.self, from: response.errorBody))?.message ?? ""
            throw EngineError.refused(name: name, status: response.status, reason: reason)
        }
    }
}
