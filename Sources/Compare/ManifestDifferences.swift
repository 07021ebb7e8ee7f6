import AppC

/// What two appc manifests have different, field by field.
public enum ManifestDifferences {
    /// - Parameter part: gets the differences.
    public static func compare(_ left: ImageManifest, _ right: ImageManifest, into part: Part) throws -> Part {
        var part = part
        let (a, b) = (try fields(of: left), try fields(of: right))
        let names = Set(a.keys).union(b.keys).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        part.compared = names.count
        for name in names where a[name] != b[name] {
            part.add(Difference(isOrigin(name) ? "manifest-origin" : "manifest-field", subject: name, left: a[name], right: b[name]))
        }
        return part
    }

    /// Every field with its value: `app.environment PATH`, `labels os`, `pathWhitelist /bin/sh`.
    static func fields(of manifest: ImageManifest) throws -> [String: String] {
        var result: [String: String] = [:]
        func add(_ path: String, _ value: JSONValue) throws {
            switch value {
            case .object(let members): for (name, member) in members { try add(path.isEmpty ? name : "\(path).\(name)", member) }
            case .array(let items):
                // Lists of named things are sets; all others stand as they are.
                let named = items.compactMap { $0["name"]?.string ?? $0["imageName"]?.string }
                if !items.isEmpty, named.count == items.count, Set(named).count == named.count {
                    for (name, item) in zip(named, items) { result["\(path) \(name)"] = try text(of: item) }
                } else if path == "pathWhitelist" {
                    for item in items { result["\(path) \(item.string ?? "")"] = "" }
                } else {
                    result[path] = try text(value)
                }
            default: result[path] = try text(value)
            }
        }
        try add("", CanonicalJSON.decode(JSONValue.self, from: CanonicalJSON.encode(manifest)))
        return result
    }

    /// A named thing without its name.
    private static func text(of item: JSONValue) throws -> String {
        guard case .object(var members) = item else { return try text(item) }
        if members.count == 2, let value = members["value"] { return try text(value) }
        members["name"] = nil
        return try text(.object(members))
    }

    static func text(_ value: JSONValue) throws -> String { try value.string ?? CanonicalJSON.text(value) }

    /// What says where an image comes from and how it was made, and nothing of how it runs.
    private static func isOrigin(_ field: String) -> Bool { origins.contains(field) }

    private static let origins: Set<String> = Set(
        ["name", "labels version", "annotations created"]
            + ["originalname", "registryurl", "repository", "tag", "imageid", "parentimageid", "manifesthash"].map { "annotations appc.io/docker/\($0)" }
            + ["history", "rootfs", "container", "container_config", "docker_version", "id", "created"].map { "annotations d2a.io/docker/\($0)" })
}
