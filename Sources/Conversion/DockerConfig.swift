import AppC

/// The configuration of a Docker or OCI image (OCI image-spec `config.md`; Docker adds fields to it).
///
/// Lenient where Docker is: absent and null mean the same, and unknown fields are kept in `fields`.
struct DockerConfig {
    var created: String?
    var author: String?
    var comment: String?
    var architecture: String?
    var os: String?
    var variant: String?
    /// The image this one was built on, as registries of before 2016 name it.
    var parent: String?
    /// The members of `config`, each as it stands.
    var fields: [String: JSONValue]
    /// The members of the document beside those above.
    var others: [String: JSONValue]
    var diffIDs: [String]

    /// - Throws: ``ConversionError/badConfig(_:)``
    init(_ bytes: [UInt8]) throws {
        guard let value = try? CanonicalJSON.decode(JSONValue.self, from: bytes), case .object(var top) = value else {
            throw ConversionError.badConfig("it is not a JSON object")
        }
        created = top["created"]?.string
        author = top["author"]?.string
        comment = top["comment"]?.string
        architecture = top["architecture"]?.string
        os = top["os"]?.string
        variant = top["variant"]?.string
        switch top["config"] {
        case .object(let members): fields = members
        // Images of the first Docker versions have what the last container ran instead.
        case nil, .null:
            if case .object(let members)? = top.removeValue(forKey: "container_config") { fields = members } else { fields = [:] }
        default: throw ConversionError.badConfig("\"config\" is not an object")
        }
        parent = top["parent"]?.string
        let known: Set = ["created", "author", "comment", "architecture", "os", "variant", "parent", "config"]
        others = top.filter { !known.contains($0.key) }
        switch top["rootfs"]?["diff_ids"] {
        case .array(let ids): diffIDs = ids.compactMap(\.string)
        default: diffIDs = []
        }
    }

    func string(_ name: String) throws -> String? {
        switch fields[name] {
        case nil, .null: return nil
        case .string(let text): return text.isEmpty ? nil : text
        default: throw ConversionError.badConfig("\"\(name)\" is not a string")
        }
    }

    func strings(_ name: String) throws -> [String]? {
        switch fields[name] {
        case nil, .null: return nil
        case .array(let items):
            let texts = items.compactMap(\.string)
            guard texts.count == items.count else { throw ConversionError.badConfig("\"\(name)\" is not a list of strings") }
            return texts
        default: throw ConversionError.badConfig("\"\(name)\" is not a list of strings")
        }
    }

    /// Entrypoint or Cmd: a list, or a string as old images have it, which a shell runs.
    func command(_ name: String) throws -> [String]? {
        if case .string(let text) = fields[name] { return text.isEmpty ? nil : ["/bin/sh", "-c", text] }
        return try strings(name)
    }

    /// The keys of an object such as Volumes, sorted.
    func keys(_ name: String) throws -> [String]? {
        switch fields[name] {
        case nil, .null: return nil
        case .object(let members): return members.keys.sorted()
        default: throw ConversionError.badConfig("\"\(name)\" is not an object")
        }
    }

    func dictionary(_ name: String) throws -> [String: String]? {
        switch fields[name] {
        case nil, .null: return nil
        case .object(let members):
            let texts = members.compactMapValues(\.string)
            guard texts.count == members.count else { throw ConversionError.badConfig("\"\(name)\" has values that are no strings") }
            return texts
        default: throw ConversionError.badConfig("\"\(name)\" is not an object")
        }
    }
}
