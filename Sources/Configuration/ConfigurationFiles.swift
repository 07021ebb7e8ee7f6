import AppC
import Diagnostics
import Files

/// A configuration file that can't be used.
public struct ConfigurationError: DiagnosedError, Equatable {
    public let path: String
    public let reason: String
    public var diagnosis: Diagnosis { Diagnosis("\(path): \(reason)", hint: "mend the file, or remove it") }
}

/// Configuration as rkt has it: JSON files with an `rktKind` in directories named for what they are about. Later directories go before
/// earlier ones, field by field.
public struct ConfigurationFiles: Sendable {
    /// The system's, this machine's, and the user's.
    let directories: [String]

    public init(directories: [String] = standard) { self.directories = directories }

    public static var standard: [String] {
        ConfigurationDirectories.system.reversed() + ConfigurationDirectories.local.reversed() + ConfigurationDirectories.user
    }

    /// Where d2a's own files are: a data directory that rkt's files name is rkt's store, and no place for ours.
    public static var d2a: [String] { standard.filter { !["/usr/lib/rkt", "/etc/rkt"].contains($0) } }

    /// The files of a sub-directory, in the order in which they count, each of a kind that may stand there.
    /// - Throws: ``ConfigurationError``
    public func documents(in place: String, kinds: [String]) throws -> [JSONValue] { try files(in: place, kinds: kinds).map(\.document) }

    private struct File {
        var directory: String
        var path: String
        var document: JSONValue
    }

    private func files(in place: String, kinds: [String]) throws -> [File] {
        var result: [File] = []
        for directory in directories {
            let path = "\(directory)/\(place)"
            for name in ((try? Directory.open(path).names()) ?? []) where name.hasSuffix(".json") {
                guard let file = try? Directory.open(path).file(name) else { continue }
                guard let bytes = try? file.readAll(limit: 1 << 20), let value = try? CanonicalJSON.decode(JSONValue.self, from: bytes) else {
                    throw ConfigurationError(path: file.path, reason: "is no JSON")
                }
                guard let kind = value["rktKind"]?.string else { throw ConfigurationError(path: file.path, reason: "no rktKind specified") }
                guard kinds.contains(kind) else { throw ConfigurationError(path: file.path, reason: "the kind \(kind) has no place in \(place)") }
                result.append(File(directory: directory, path: file.path, document: value))
            }
        }
        return result
    }

    /// What `auth.d` has for each domain (of the kind `auth`) or registry (`dockerAuth`).
    /// - Throws: ``ConfigurationError``, also where one directory has two for the same.
    public func authentication(_ kind: String) throws -> [String: JSONValue] {
        var result: [String: File] = [:]
        for file in try files(in: "auth.d", kinds: ["auth", "dockerAuth"]) where file.document["rktKind"]?.string == kind {
            guard case .array(let names)? = file.document[kind == "auth" ? "domains" : "registries"] else { continue }
            for name in names.compactMap(\.string) {
                guard result[name]?.directory != file.directory else {
                    throw ConfigurationError(path: file.path, reason: "\(kind) for \"\(name)\" is already specified in \(result[name]!.path)")
                }
                result[name] = file
            }
        }
        return result.mapValues(\.document)
    }

    /// The data directory; nil where no file names one.
    public func dataDirectory() throws -> String? {
        for document in try documents(in: "paths.d", kinds: ["paths"]).reversed() {
            guard let path = document["data"]?.string, !path.isEmpty else { continue }
            guard path.hasPrefix("/") else { throw ConfigurationError(path: path, reason: "the data directory must be an absolute path") }
            return path
        }
        return nil
    }

    /// All of it as one document, as `rkt config` prints it: one entry a domain and a registry, and one of paths.
    public func merged() throws -> JSONValue {
        var entries: [String: JSONValue] = [:]
        for (kind, field) in [("auth", "domains"), ("dockerAuth", "registries")] {
            for (name, document) in try authentication(kind) {
                guard case .object(var members) = document else { continue }
                members[field] = .array([.string(name)])
                entries["\(kind) \(name)"] = .object(members)
            }
        }
        var paths: [String: JSONValue] = ["rktKind": .string("paths"), "rktVersion": .string("v1"), "data": .string(""), "stage1-images": .string("")]
        for document in try documents(in: "paths.d", kinds: ["paths"]) {
            for field in ["data", "stage1-images"] { if let value = document[field], value.string?.isEmpty == false { paths[field] = value } }
        }
        return .object(["stage0": .array(entries.sorted { $0.key < $1.key }.map(\.value) + [.object(paths)])])
    }
}
