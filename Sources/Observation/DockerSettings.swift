import AppC

/// What a container of an image is, read from the image's configuration as Docker reads it (moby `strslice`, `daemon/commit.go`, `oci_linux.go`).
public struct DockerSettings: Sendable, Hashable {
    public var entrypoint: [String]
    public var command: [String]
    /// Whether they are strings, which is how images of old have it.
    public var entrypointIsString = false
    public var commandIsString = false
    /// As they stand.
    public var environment: [String]
    public var workingDirectory: String
    public var user: String
    /// Sorted.
    public var volumes: [String]
    public var stopSignal: StopSignal

    /// - Parameter config: the image's configuration, byte for byte.
    /// - Throws: ``ObservationError/badConfiguration(_:)``
    public init(_ config: [UInt8]) throws {
        guard let document = try? CanonicalJSON.decode(JSONValue.self, from: config), case .object = document else {
            throw ObservationError.badConfiguration("it is not a JSON object")
        }
        let fields: JSONValue? =
            switch document["config"] {
            case nil, .null: document["container_config"]
            case let config: config
            }
        func words(_ name: String) throws -> [String] {
            switch fields?[name] {
            case nil, .null: return []
            // One word, whatever is in it.
            case .string(let text): return [text]
            case .array(let items):
                let words = items.compactMap(\.string)
                if words.count == items.count { return words }
                fallthrough
            default: throw ObservationError.badConfiguration("\"\(name)\" is not a list of strings")
            }
        }
        entrypoint = try words("Entrypoint")
        command = try words("Cmd")
        if case .string? = fields?["Entrypoint"] { entrypointIsString = true }
        if case .string? = fields?["Cmd"] { commandIsString = true }
        environment = try words("Env")
        workingDirectory = fields?["WorkingDir"]?.string ?? ""
        user = fields?["User"]?.string ?? ""
        if case .object(let members)? = fields?["Volumes"] { volumes = members.keys.sorted() } else { volumes = [] }
        stopSignal = (fields?["StopSignal"]?.string).flatMap { StopSignal($0) } ?? .standard
    }

    /// What Docker runs.
    /// - Parameter arguments: in place of CMD.
    public func words(_ arguments: [String]) -> [String] { entrypoint + (arguments.isEmpty ? command : arguments) }

    /// What pods run: a shell takes what is a string.
    public func shellWords(_ arguments: [String]) -> [String] {
        func shell(_ words: [String], _ isString: Bool) -> [String] { isString && words != [""] ? ["/bin/sh", "-c"] + words : words }
        return shell(entrypoint, entrypointIsString) + (arguments.isEmpty ? shell(command, commandIsString) : arguments)
    }

    /// The variables of a process: one without a value takes a default away, and is none itself.
    func variables(defaults: [String]) -> [String] {
        var result = defaults
        for entry in environment {
            let name = entry.prefix { $0 != "=" }
            let place = result.firstIndex { $0.prefix { $0 != "=" } == name }
            switch (entry.contains("="), place) {
            case (true, let place?): result[place] = entry
            case (true, nil): result.append(entry)
            case (false, let place?): result.remove(at: place)
            case (false, nil): break
            }
        }
        return result
    }
}
