import AppC
import Configuration
import Files
import Glibc
import Reference
import Subprocess

/// The files in which people keep credentials for registries, in the order in which they are asked:
///
/// 1. `$REGISTRY_AUTH_FILE`;
/// 2. `config.json` of `$DOCKER_CONFIG` or `~/.docker`, with `auths`, `credHelpers` and `credsStore`;
/// 3. `containers/auth.json` of `$XDG_RUNTIME_DIR`, as podman and skopeo write it;
/// 4. `~/.dockercfg`;
/// 5. `auth.d/*.json` of d2a and rkt, of kind `dockerAuth`, the user's before those in `/etc`, and these before those in `/usr/lib`.
public struct CredentialFiles {
    private let variable: (String) -> String?
    /// Those of the fifth kind.
    private let configuration: ConfigurationFiles

    public init() { self.init(variables: environmentVariable, directories: ConfigurationFiles.standard) }

    init(variables: @escaping (String) -> String?, directories: [String]) {
        variable = { variables($0).flatMap { $0.isEmpty ? nil : $0 } }
        configuration = ConfigurationFiles(directories: directories)
    }

    /// - Parameters:
    ///   - registry: host and port as requests go to, `registry-1.docker.io` for Docker Hub.
    ///   - repository: entries may be for a repository or a part of its path; the longest that fits is taken.
    /// - Returns: nil where nobody has any.
    /// - Throws: ``CredentialError``, `ConfigurationError`
    public func find(registry: String, repository: String) throws -> Credential? {
        let names = Self.names(registry, repository)
        let home = variable("HOME")
        let docker = variable("DOCKER_CONFIG") ?? home.map { $0 + "/.docker" }
        let files = [
            variable("REGISTRY_AUTH_FILE"), docker.map { $0 + "/config.json" }, variable("XDG_RUNTIME_DIR").map { $0 + "/containers/auth.json" },
        ]
        for path in files.compactMap(\.self) {
            if let found = try read(path).flatMap({ try credential(in: $0, names, path: path) }) { return found }
        }
        if let path = home.map({ $0 + "/.dockercfg" }), case .object(let entries)? = try read(path), let found = Self.entry(entries, names) { return found }
        let registries = try configuration.authentication("dockerAuth").sorted { $0.key < $1.key }
        for name in names {
            guard let (registry, document) = registries.first(where: { Self.key($0.key) == name }) else { continue }
            guard let user = document["credentials"]?["user"]?.string, let password = document["credentials"]?["password"]?.string else {
                throw CredentialError.badFile(path: "what auth.d has for \(registry)")
            }
            return Credential(user: user, password: password)
        }
        return nil
    }

    // MARK: Names

    /// The names by which an entry may be for a repository, the best one first.
    private static func names(_ registry: String, _ repository: String) -> [String] {
        var path = repository.split(separator: "/")
        var names: [String] = []
        let hosts = registry == "registry-1.docker.io" ? ["docker.io", "index.docker.io", "registry-1.docker.io"] : [registry]
        while !path.isEmpty {
            names += hosts.map { "\($0)/" + path.joined(separator: "/") }
            path.removeLast()
        }
        return names + hosts
    }

    /// An entry's name without scheme and API version: `https://index.docker.io/v1/` is `index.docker.io`.
    private static func key(_ text: String) -> String {
        var rest = Substring(text)
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        for version in ["/v1", "/v2"] where rest.hasSuffix(version) { rest = rest.dropLast(version.count) }
        return String(rest)
    }

    // MARK: Documents

    /// - Returns: nil where there is no such file.
    private func read(_ path: String) throws -> JSONValue? {
        guard let file = try? OpenFile.open(path) else { return nil }
        guard let bytes = try? file.readAll(limit: 1 << 20), let value = try? CanonicalJSON.decode(JSONValue.self, from: bytes) else {
            throw CredentialError.badFile(path: path)
        }
        return value
    }

    /// Docker's `config.json`, and podman's, which has the same shape.
    private func credential(in document: JSONValue, _ names: [String], path: String) throws -> Credential? {
        if case .object(let helpers)? = document["credHelpers"] {
            for name in names {
                for (key, helper) in helpers where Self.key(key) == name {
                    guard let helper = helper.string else { throw CredentialError.badFile(path: path) }
                    if let found = try ask(helper, for: key) { return found }
                }
            }
        }
        if let store = document["credsStore"]?.string, !store.isEmpty {
            // The store knows servers by the names under which docker login keeps them.
            let host = names.last!
            let server = host == "registry-1.docker.io" ? "https://index.docker.io/v1/" : host
            if let found = try ask(store, for: server) { return found }
        }
        guard case .object(let entries)? = document["auths"] else { return nil }
        return Self.entry(entries, names)
    }

    private static func entry(_ entries: [String: JSONValue], _ names: [String]) -> Credential? {
        for name in names {
            for (key, value) in entries.sorted(by: { $0.key < $1.key }) where Self.key(key) == name {
                func text(_ field: String) -> String? { value[field]?.string.flatMap { $0.isEmpty ? nil : $0 } }
                if let token = text("identitytoken") { return .identityToken(token) }
                if let token = text("registrytoken") { return .registryToken(token) }
                if let encoded = text("auth") { return .basic(encoded) }
                if let user = text("username"), let password = text("password") { return Credential(user: user, password: password) }
            }
        }
        return nil
    }

    // MARK: Helpers

    /// Asks `docker-credential-NAME get` (docker/docker-credential-helpers).
    private func ask(_ name: String, for server: String) throws -> Credential? {
        guard !name.contains("/") else { throw CredentialError.badHelper(name, reason: "its name has a slash") }
        let answer: (status: Int32, output: [UInt8])
        do { answer = try runFilter("docker-credential-\(name)", ["get"], input: server) } catch {
            throw CredentialError.badHelper(name, reason: "it can't be started")
        }
        // By the protocol "not found" is an error, and what it says of it is on standard output.
        guard answer.status == 0 else { return nil }
        guard let document = try? CanonicalJSON.decode(JSONValue.self, from: answer.output), let user = document["Username"]?.string,
            let secret = document["Secret"]?.string
        else { throw CredentialError.badHelper(name, reason: "its answer is no credential") }
        return user == "<token>" ? .identityToken(secret) : Credential(user: user, password: secret)
    }
}

extension Credential {
    /// What `--creds-stdin` takes for `--creds`: the first line of standard input, and not a byte of what follows, which is for somebody else.
    /// However often it is asked for, it is read once.
    /// - Throws: ``CredentialError/badOption``
    public static func lineOfStandardInput() throws(CredentialError) -> String {
        guard let line = standardInput else { throw .badOption }
        return line
    }

    private static let standardInput: String? = {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(STDIN_FILENO, &byte, 1) == 1, byte != UInt8(ascii: "\n"), line.count < 1 << 16 { line.append(byte) }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line.contains(UInt8(ascii: ":")) ? String(decoding: line, as: UTF8.self) : nil
    }()

    /// What `--creds` says, or else what the files have; nil where neither has any.
    /// - Parameter option: `USER:PASSWORD`
    public init?(option: String?, for reference: ImageReference) throws {
        if let option {
            guard let colon = option.firstIndex(of: ":"), colon != option.startIndex else { throw CredentialError.badOption }
            self.init(user: String(option[..<colon]), password: String(option[option.index(after: colon)...]))
        } else {
            guard let found = try CredentialFiles().find(registry: reference.registry, repository: reference.repository) else { return nil }
            self = found
        }
    }
}
