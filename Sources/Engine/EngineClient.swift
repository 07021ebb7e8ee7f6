import AppC
import Files
import Glibc
import Threads
import Transport

/// The Docker engine, by its API (versions 1.24 to 1.51).
public struct EngineClient: Sendable {
    private let address: EngineAddress
    private let client: HTTPClient

    /// What the person calls the place.
    public var place: String { address.place }

    public init(_ address: EngineAddress) { (self.address, client) = (address, HTTPClient(address.options)) }

    // MARK: Requests

    private struct Message: Decodable { var message: String? }

    private func request(_ method: HTTPRequest.Method, _ path: String, _ body: HTTPRequest.Body, type: String? = nil) throws -> HTTPRequest {
        guard let address = WebAddress(address.base + path) else { throw EngineError.badAddress(place) }
        return HTTPRequest(method, address, headers: type.map { [("Content-Type", $0)] } ?? [], body: body)
    }

    /// - Parameters:
    ///   - subject: what the request is about, for messages.
    ///   - began: called where the answer begins, before there is anything of it.
    private func send(
        _ request: HTTPRequest, about subject: String, began: (() -> Void)? = nil, body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let response: HTTPResponse
        do {
            response = try client.send(request, began: { _ in began?() }) { _, bytes in try body(bytes) }
        } catch let error as TransportError { throw EngineError.unreachable(address: place, reason: error.reason) }
        // 304: it is so already.
        guard response.isSuccess || response.status == 304 else {
            let reason = (try? CanonicalJSON.decode(Message.self, from: response.errorBody))?.message ?? ""
            throw EngineError.refused(name: subject, status: response.status, reason: reason)
        }
    }

    private func answer(_ request: HTTPRequest, about subject: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try send(request, about: subject) { chunk in
            guard bytes.count + chunk.count <= 16 << 20 else { throw EngineError.unreachable(address: place, reason: "it answers without end") }
            bytes.append(contentsOf: chunk)
        }
        return bytes
    }

    private func get<T: Decodable>(_ type: T.Type, _ path: String, about subject: String) throws -> T {
        let bytes = try answer(request(.get, path, .none), about: subject)
        do { return try CanonicalJSON.decode(type, from: bytes) } catch {
            throw EngineError.unreachable(address: place, reason: "it answers something else than Docker does")
        }
    }

    private func post(_ path: String, about subject: String) throws { _ = try answer(request(.post, path, .bytes([])), about: subject) }

    // MARK: The engine and its images

    public struct Version: Sendable, Decodable {
        /// `20.10.24`
        public var version: String
        public var apiVersion: String

        private enum CodingKeys: String, CodingKey {
            case version = "Version"
            case apiVersion = "ApiVersion"
        }
    }

    public func version() throws -> Version { try get(Version.self, "/version", about: "its version") }

    private struct ImageAnswer: Decodable {
        var id: String
        private enum CodingKeys: String, CodingKey { case id = "Id" }
    }

    /// The ID of an image that it has; nil where it has none of the name.
    public func image(_ name: String) throws -> String? {
        do { return try get(ImageAnswer.self, "/images/\(name)/json", about: name).id } catch EngineError.refused(_, 404, _) { return nil }
    }

    /// An image as an archive, as `docker save` writes it. Nothing of the archive is looked at.
    /// - Parameter file: empty.
    public func save(_ name: String, into file: OpenFile) throws {
        try send(request(.get, "/images/\(name)/get", .none), about: name) { try file.write($0) }
    }

    /// Gives it an image, as `docker load` does.
    /// - Parameter archive: as `docker save` writes it; an image in it is known by its tag afterwards.
    public func load(_ archive: OpenFile) throws {
        struct Line: Decodable { var error: String? }
        let bytes = try answer(
            request(.post, "/images/load?quiet=1", .file(archive, offset: 0, length: archive.size()), type: "application/x-tar"), about: "the image")
        // What goes wrong once it has begun to answer is told in the answer.
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            if let error = (try? CanonicalJSON.decode(Line.self, from: line))?.error {
                throw EngineError.refused(name: "the image", status: 200, reason: error)
            }
        }
    }

    /// Takes a name from an image; without another name the image goes with it.
    public func removeImage(_ name: String) throws { _ = try answer(request(.delete, "/images/\(name)?noprune=1", .none), about: name) }

    private struct TaggedImage: Decodable {
        var tags: [String]?
        private enum CodingKeys: String, CodingKey { case tags = "RepoTags" }
    }

    /// All tags of a name that it has, `NAME:TAG`.
    public func tags(of name: String) throws -> [String] {
        let query = "%7B%22reference%22%3A%5B%22\(name.replacing("/", with: "%2F"))%22%5D%7D"
        return try get([TaggedImage].self, "/images/json?filters=\(query)", about: "its images").flatMap { $0.tags ?? [] }.filter { $0.hasPrefix(name + ":") }
    }

    // MARK: Containers

    /// What `POST /containers/create` takes, as far as it is set here.
    public struct ContainerRequest: Sendable, Encodable {
        public struct Mount: Sendable, Encodable {
            public var type = "bind"
            public var source: String
            public var target: String
            public var readOnly = true

            public init(source: String, target: String) { (self.source, self.target) = (source, target) }

            private enum CodingKeys: String, CodingKey {
                case type = "Type"
                case source = "Source"
                case target = "Target"
                case readOnly = "ReadOnly"
            }
        }
        public struct Host: Sendable, Encodable {
            public struct Log: Sendable, Encodable {
                public var type = "none"
                private enum CodingKeys: String, CodingKey { case type = "Type" }
            }
            public var networkMode = "none"
            public var readOnlyRoot = false
            public var mounts: [Mount] = []
            /// Nobody reads it: what the program writes goes to whoever is attached.
            public var log = Log()

            public init() {}

            private enum CodingKeys: String, CodingKey {
                case networkMode = "NetworkMode"
                case readOnlyRoot = "ReadonlyRootfs"
                case mounts = "Mounts"
                case log = "LogConfig"
            }
        }
        public var image: String
        /// In place of the image's, where not nil; the image's CMD is gone then.
        public var entrypoint: [String]?
        public var command: [String]?
        public var terminal = false
        public var labels: [String: String] = [:]
        public var host = Host()

        public init(image: String) { self.image = image }

        private enum CodingKeys: String, CodingKey {
            case image = "Image"
            case entrypoint = "Entrypoint"
            case command = "Cmd"
            case terminal = "Tty"
            case labels = "Labels"
            case host = "HostConfig"
        }
    }

    /// What it says of a container.
    public struct Container: Sendable, Decodable {
        public struct State: Sendable, Decodable {
            public var running: Bool
            public var exitCode: Int32
            /// Why it could not be started.
            public var error: String
            /// RFC 3339.
            public var startedAt: String
            public var finishedAt: String

            private enum CodingKeys: String, CodingKey {
                case running = "Running"
                case exitCode = "ExitCode"
                case error = "Error"
                case startedAt = "StartedAt"
                case finishedAt = "FinishedAt"
            }
        }
        public struct Settings: Sendable, Decodable {
            var entrypoint: [String]?
            var command: [String]?

            private enum CodingKeys: String, CodingKey {
                case entrypoint = "Entrypoint"
                case command = "Cmd"
            }
        }
        public var id: String
        public var path: String
        var arguments: [String]
        var settings: Settings
        public var state: State

        /// The program, and what it is told.
        public var words: [String] {
            // podman says a single word twice.
            let isSingle = (settings.entrypoint ?? []) + (settings.command ?? []) == [path]
            return [path] + (isSingle ? [] : arguments)
        }

        private enum CodingKeys: String, CodingKey {
            case id = "Id"
            case path = "Path"
            case arguments = "Args"
            case settings = "Config"
            case state = "State"
        }
    }

    /// - Returns: the new container's ID.
    public func create(_ container: ContainerRequest) throws -> String {
        let bytes = try answer(
            request(.post, "/containers/create", .bytes(CanonicalJSON.encode(container)), type: "application/json"), about: container.image)
        return try CanonicalJSON.decode(ImageAnswer.self, from: bytes).id
    }

    private struct LabelledContainer: Decodable {
        var id: String
        var labels: [String: String]?
        private enum CodingKeys: String, CodingKey {
            case id = "Id"
            case labels = "Labels"
        }
    }

    /// All containers that have a label, whether they run or not: their IDs, with what it says.
    /// - Parameter label: letters, digits and dashes.
    public func containers(labelled label: String) throws -> [(id: String, value: String)] {
        try get([LabelledContainer].self, "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22\(label)%22%5D%7D", about: "its containers")
            .compactMap { container in container.labels?[label].map { (container.id, $0) } }
    }

    public func inspect(_ id: String) throws -> Container { try get(Container.self, "/containers/\(id)/json", about: Self.short(id)) }

    public func start(_ id: String) throws { try post("/containers/\(id)/start", about: Self.short(id)) }

    /// - Parameter signal: a name or a number; nil kills it.
    public func kill(_ id: String, signal: String? = nil) throws {
        try post("/containers/\(id)/kill" + (signal.map { "?signal=\($0)" } ?? ""), about: Self.short(id))
    }

    public func resize(_ id: String, rows: Int, columns: Int) throws { try post("/containers/\(id)/resize?h=\(rows)&w=\(columns)", about: Self.short(id)) }

    /// Ends it where it runs, and removes it with its anonymous volumes.
    public func remove(_ id: String) throws { _ = try answer(request(.delete, "/containers/\(id)?force=1&v=1", .none), about: Self.short(id)) }

    /// Takes what a container writes from now on until it ends. Blocks; meant for a thread of its own, before the container is started.
    /// - Parameters:
    ///   - began: called when nothing will be missed any more.
    ///   - body: gets what is written: 1 standard output, 2 standard error; with a terminal all is 1.
    public func attach(_ id: String, terminal: Bool, began: @escaping () -> Void, body: (_ stream: Int, _ bytes: UnsafeRawBufferPointer) throws -> Void) throws
    {
        var frames = AttachedFrames()
        let request = try request(.post, "/containers/\(id)/attach?stream=1&stdout=1&stderr=1", .bytes([]))
        try send(request, about: Self.short(id), began: began) { bytes in
            if terminal { try body(1, bytes) } else { try frames.take(bytes, body) }
        }
    }

    /// The tree of a container, as a tar archive (`docker export`).
    public func export(_ id: String, into file: OpenFile) throws {
        try send(request(.get, "/containers/\(id)/export", .none), about: Self.short(id)) { try file.write($0) }
    }

    private static func short(_ id: String) -> String { "the container \(id.prefix(12))" }
}

/// Takes apart what an attached container without a terminal writes: frames of a stream's number, three zeros, a length of four bytes, and as
/// many bytes (Engine API, "Attach to a container").
struct AttachedFrames {
    private var header: [UInt8] = []
    private var left = 0

    mutating func take(_ bytes: UnsafeRawBufferPointer, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) rethrows {
        var rest = bytes[...]
        while !rest.isEmpty {
            if left == 0 {
                let wanted = rest.prefix(8 - header.count)
                header += wanted
                rest = rest.dropFirst(wanted.count)
                guard header.count == 8 else { return }
                left = header[4...].reduce(0) { $0 << 8 | Int($1) }
                if left == 0 { header = [] }
                continue
            }
            let chunk = rest.prefix(left)
            try body(Int(header[0]), UnsafeRawBufferPointer(rebasing: chunk))
            left -= chunk.count
            rest = rest.dropFirst(chunk.count)
            if left == 0 { header = [] }
        }
    }
}
