/// Reads and writes manifests: every version of the spec in, 0.8.11 out, and nothing that the spec forbids.
public enum ManifestReader {
    /// An image manifest.
    /// - Returns: the manifest, and what it has that this program knows no meaning of, as JSON paths.
    /// - Throws: ``ManifestError``
    public static func image(_ bytes: some Sequence<UInt8>) throws -> (manifest: ImageManifest, unknown: [String]) {
        let value = try upgraded(bytes)
        let unknown = try check(value) { $0.image($1) }
        return (try CanonicalJSON.decode(ImageManifest.self, from: CanonicalJSON.encode(value)), unknown)
    }

    /// A pod manifest.
    /// - Returns: the manifest as today's spec has it, and what it has that this program knows no meaning of, as JSON paths.
    /// - Throws: ``ManifestError``
    public static func pod(_ bytes: some Sequence<UInt8>) throws -> (manifest: PodManifest, unknown: [String]) {
        let value = try upgraded(bytes)
        let unknown = try check(value) { $0.pod($1) }
        return (try CanonicalJSON.decode(PodManifest.self, from: CanonicalJSON.encode(value)), unknown)
    }

    /// The bytes of an image manifest, if it is one.
    /// - Throws: ``ManifestError``
    public static func bytes(_ manifest: ImageManifest) throws -> [UInt8] {
        let bytes = try CanonicalJSON.encode(manifest)
        _ = try check(CanonicalJSON.decode(JSONValue.self, from: bytes)) { $0.image($1) }
        return bytes
    }

    private static func upgraded(_ bytes: some Sequence<UInt8>) throws -> JSONValue {
        guard let value = try? CanonicalJSON.decode(JSONValue.self, from: bytes), case .object = value else { throw ManifestError.notJSON }
        return ManifestUpgrade.upgraded(value)
    }

    private static func check(_ value: JSONValue, _ body: (inout ManifestValidator, JSONValue) -> Void) throws -> [String] {
        var validator = ManifestValidator()
        body(&validator, value)
        guard validator.problems.isEmpty else { throw ManifestError.invalid(validator.problems) }
        return validator.unknown
    }
}

/// Turns manifests of the spec's earlier versions (0.1.1, December 2014, and later) into today's shape. What is today's already stays.
enum ManifestUpgrade {
    static func upgraded(_ value: JSONValue) -> JSONValue {
        guard case .object(var top) = value else { return value }
        top["labels"] = top["labels"].map(labels)
        top["annotations"] = top["annotations"].map(pairs)
        top["app"] = top["app"].map(app)
        top["isolators"] = top["isolators"].map(isolators)
        if case .array(let items)? = top["dependencies"] { top["dependencies"] = .array(items.map(dependency)) }
        if case .array(let items)? = top["apps"] {
            top["apps"] = .array(
                items.map { item in
                    guard case .object(var members) = item else { return item }
                    members["app"] = members["app"].map(app)
                    members["annotations"] = members["annotations"].map(pairs)
                    members["mounts"] = members["mounts"].map { mounts($0, of: members["app"]) }
                    return .object(members)
                })
        }
        // A version that is none stays, for the check to name.
        if case .string(let version)? = top["acVersion"], version.hasPrefix("0.") { top["acVersion"] = .string("0.8.11") }
        return .object(top)
    }

    private static func app(_ value: JSONValue) -> JSONValue {
        guard case .object(var app) = value else { return value }
        app["environment"] = app["environment"].map(pairs)
        app["isolators"] = app["isolators"].map(isolators)
        if case .array(let ports)? = app["ports"] {
            app["ports"] = .array(
                ports.map { port in
                    guard case .object(var members) = port, case .string(let text)? = members["port"], let number = Int64(text) else { return port }
                    members["port"] = .integer(number)
                    return .object(members)
                })
        }
        return .object(app)
    }

    /// Mounts once named the app's mount point where they now have its path.
    private static func mounts(_ value: JSONValue, of app: JSONValue?) -> JSONValue {
        guard case .array(let items) = value else { return value }
        var paths: [String: JSONValue] = [:]
        if case .array(let points)? = app?["mountPoints"] {
            for point in points { if let name = point["name"]?.string, let path = point["path"] { paths[name] = path } }
        }
        return .array(
            items.map { item in
                guard case .object(var mount) = item, mount["path"] == nil, let name = mount["mountPoint"]?.string, let path = paths[name] else { return item }
                mount["mountPoint"] = nil
                mount["path"] = path
                return .object(mount)
            })
    }

    /// Labels once had `val`.
    private static func labels(_ value: JSONValue) -> JSONValue {
        guard case .array(let items) = value else { return value }
        return .array(items.map(renamed("val", "value")))
    }

    /// Environment and annotations once were objects: now lists, in the order of the names.
    private static func pairs(_ value: JSONValue) -> JSONValue {
        guard case .object(let members) = value else { return value }
        return .array(members.sorted { $0.key < $1.key }.map { .object(["name": .string($0.key), "value": $0.value]) })
    }

    private static func dependency(_ value: JSONValue) -> JSONValue {
        guard case .object(var members) = renamed("hash", "imageID")(value) else { return value }
        for old in ["name", "app"] where members["imageName"] == nil {
            members["imageName"] = members[old]
            members[old] = nil
        }
        members["labels"] = members["labels"].map(labels)
        return .object(members)
    }

    private static func renamed(_ old: String, _ new: String) -> (JSONValue) -> JSONValue {
        { value in
            guard case .object(var members) = value, members[new] == nil, let moved = members.removeValue(forKey: old) else { return value }
            members[new] = moved
            return .object(members)
        }
    }

    /// Isolators once had text for values, and other names.
    private static func isolators(_ value: JSONValue) -> JSONValue {
        guard case .array(let items) = value else { return value }
        return .array(
            items.map { item in
                if item["name"] == .string("os/linux/capabilities-revoke-set"), case .object(var members) = item {
                    members["name"] = .string("os/linux/capabilities-remove-set")
                    return .object(members)
                }
                guard case .object(var members) = renamed("val", "value")(item), case .string(let name)? = members["name"],
                    case .string(let text)? = members["value"]
                else { return renamed("val", "value")(item) }
                switch name {
                case "memory/limit":
                    members["name"] = .string("resource/memory")
                    members["value"] = .object(["limit": .string(text)])
                case "cpu/shares":
                    guard let shares = Int64(text) else { return item }
                    members["name"] = .string("os/linux/cpu-shares")
                    members["value"] = .integer(shares)
                case "capabilities/bounding-set":
                    members["name"] = .string("os/linux/capabilities-retain-set")
                    members["value"] = .object(["set": .array(text.split(separator: " ").map { .string(String($0)) })])
                default: break
                }
                return .object(members)
            })
    }
}
