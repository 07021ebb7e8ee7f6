import AppC
import CTOML
import Diagnostics
import Files
import Glibc
import Reference

/// Where requests for a repository go: to mirrors, elsewhere, or nowhere, as podman's and skopeo's users write it down
/// (containers-registries.conf(5), version 2).
///
/// Short names stay Docker Hub's, as docker2aci's users know them: `unqualified-search-registries` and aliases are passed over.
public struct RegistriesConfiguration: Sendable {
    /// One registry, or a part of its names, of which the longest that fits counts.
    struct Registry: Decodable, Sendable {
        struct Mirror: Decodable, Sendable {
            var location: String
            var insecure: Bool?
            var pullFromMirror: String?

            enum CodingKeys: String, CodingKey {
                case location, insecure
                case pullFromMirror = "pull-from-mirror"
            }
        }
        /// `HOST[:PORT][/PATH]`, or `*.DOMAIN`.
        var prefix: String?
        /// What stands in the prefix's place when it is asked for.
        var location: String?
        var insecure: Bool?
        var blocked: Bool?
        var mirror: [Mirror]?
        var mirrorByDigestOnly: Bool?

        enum CodingKeys: String, CodingKey {
            case prefix, location, insecure, blocked, mirror
            case mirrorByDigestOnly = "mirror-by-digest-only"
        }

        /// Names that begin with it are meant.
        var names: String { [prefix, location].compactMap(\.self).first { !$0.isEmpty } ?? "" }
    }

    private struct Document: Decodable {
        var registry: [Registry]?
    }

    /// One place to ask for an image.
    public struct Place: Sendable, Equatable {
        /// By the name that it has there.
        public var reference: ImageReference
        /// Plain HTTP and any certificate will do.
        public var insecure: Bool
        public var isMirror: Bool
    }

    /// By prefix.
    private var registries: [String: (registry: Registry, path: String)] = [:]

    public init() {}

    /// What `$CONTAINERS_REGISTRIES_CONF` names; else the first of `~/.config/containers/registries.conf`, `/etc/d2a/registries.conf` and
    /// `/etc/containers/registries.conf`, and then all of `registries.conf.d/*.conf` in `/etc/containers` and `~/.config/containers`,
    /// where a later entry replaces one for the same names.
    /// - Throws: ``RegistriesError``
    public static func read() throws -> RegistriesConfiguration {
        var result = RegistriesConfiguration()
        if let path = environmentVariable("CONTAINERS_REGISTRIES_CONF"), !path.isEmpty {
            try result.add(path, OpenFile.open(path))
            return result
        }
        let home = environmentVariable("HOME").map { [$0 + "/.config/containers"] } ?? []
        for path in (home + ["/etc/d2a", "/etc/containers"]).map({ $0 + "/registries.conf" }) {
            guard let file = try? OpenFile.open(path) else { continue }
            try result.add(path, file)
            break
        }
        for directory in (["/etc/containers"] + home).map({ $0 + "/registries.conf.d" }) {
            guard let opened = try? Directory.open(directory) else { continue }
            for name in try opened.names() where name.hasSuffix(".conf") {
                guard let file = try? OpenFile.open("\(directory)/\(name)") else { continue }
                try result.add("\(directory)/\(name)", file)
            }
        }
        return result
    }

    private mutating func add(_ path: String, _ file: OpenFile) throws { try add(path: path, text: file.readAll(limit: 1 << 20)) }

    /// - Throws: ``RegistriesError``
    mutating func add(path: String, text: [UInt8]) throws {
        var words = [CChar](repeating: 0, count: 256)
        let json = (text + [0]).withUnsafeBytes { toml_to_json($0.baseAddress!.assumingMemoryBound(to: CChar.self), text.count, &words, words.count) }
        guard let json else {
            throw RegistriesError.invalid(path: path, reason: String(decoding: words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        defer { free(json) }
        guard let document = try? CanonicalJSON.decode(Document.self, from: UnsafeRawBufferPointer(start: json, count: strlen(json))) else {
            throw RegistriesError.invalid(path: path, reason: "it isn't of version 2, with tables [[registry]] and [[registry.mirror]]")
        }
        for registry in document.registry ?? [] {
            let names = registry.names
            guard !names.isEmpty else { throw RegistriesError.invalid(path: path, reason: "a [[registry]] has neither prefix nor location") }
            for mirror in registry.mirror ?? [] {
                guard ["all", "digest-only", "tag-only"].contains(mirror.pullFromMirror ?? "all") else {
                    throw RegistriesError.invalid(
                        path: path, reason: "pull-from-mirror = \"\(mirror.pullFromMirror!)\" is none of all, digest-only and tag-only")
                }
            }
            registries[names] = (registry, path)
        }
    }

    /// Where to ask for an image, mirrors first, in the order in which they are to be tried; the last place is the registry itself.
    /// - Throws: ``RegistriesError``
    public func places(for reference: ImageReference) throws -> [Place] {
        let itself = Place(reference: reference, insecure: false, isMirror: false)
        // Docker Hub is docker.io in these files.
        let name = "\(reference.registry == ImageReference.hub ? "docker.io" : reference.registry)/\(reference.repository)"
        let fitting = registries.compactMap { names, entry in Self.length(of: names, in: name).map { (length: $0, names: names, entry: entry) } }
        // Wildcards are weaker than names.
        guard let best = fitting.max(by: { ($0.names.hasPrefix("*") ? 0 : 1, $0.names.utf8.count) < ($1.names.hasPrefix("*") ? 0 : 1, $1.names.utf8.count) })
        else {
            return [itself]
        }
        let (registry, path) = best.entry
        guard registry.blocked != true else { throw RegistriesError.blocked(reference, path: path) }
        let rest = name.dropFirst(best.length)
        func place(_ location: String, _ insecure: Bool?, isMirror: Bool) throws -> Place {
            var text = location + rest
            if let tag = reference.tag { text += ":\(tag)" }
            if let digest = reference.digest { text += "@\(digest)" }
            let host = location.prefix { $0 != "/" }
            guard let there = try? ImageReference(text), there.registry == host || there.registry == ImageReference.hub && host == "docker.io" else {
                throw RegistriesError.invalid(path: path, reason: "\"\(location)\" is not a HOST[:PORT][/PATH] that can be asked")
            }
            return Place(reference: there, insecure: insecure ?? false, isMirror: isMirror)
        }
        var places: [Place] = []
        for mirror in registry.mirror ?? [] {
            let which = registry.mirrorByDigestOnly == true ? "digest-only" : mirror.pullFromMirror ?? "all"
            if which == "digest-only" && reference.digest == nil || which == "tag-only" && reference.digest != nil { continue }
            places.append(try place(mirror.location, mirror.insecure, isMirror: true))
        }
        if let location = registry.location, !location.isEmpty, location != best.names {
            places.append(try place(location, registry.insecure, isMirror: false))
        } else {
            places.append(Place(reference: reference, insecure: registry.insecure ?? false, isMirror: false))
        }
        return places
    }

    /// How much of a name `prefix` stands for; nil where it isn't for it.
    private static func length(of prefix: String, in name: String) -> Int? {
        if prefix.hasPrefix("*.") {
            let host = name.prefix { $0 != "/" && $0 != ":" }
            return host.hasSuffix(prefix.dropFirst()) && host.count > prefix.count - 1 ? name.prefix { $0 != "/" }.count : nil
        }
        guard name.hasPrefix(prefix) else { return nil }
        let rest = name.dropFirst(prefix.count)
        return rest.isEmpty || rest.first == "/" ? prefix.count : nil
    }
}

/// A `registries.conf` that can't be used, or that forbids what was asked for.
public enum RegistriesError: DiagnosedError, Equatable {
    case invalid(path: String, reason: String)
    case blocked(ImageReference, path: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .invalid(let path, let reason): Diagnosis("\(path): \(reason)", hint: "it is read as containers-registries.conf(5) says: mend it or move it away")
        case .blocked(let reference, let path): Diagnosis("\(reference.registry)/\(reference.repository) is blocked", hint: "by blocked = true in \(path)")
        }
    }
}
