import AppC

/// Each field of a Docker configuration beside what became of it in the appc manifest.
///
/// What the conversion says is not believed: whatever is called kept is looked up in the manifest.
public struct ManifestComparison {
    /// What became of a field.
    enum Outcome: String {
        case same, renamed, changed, lost
        case annotation = "annotation only"
    }

    private struct Field {
        var name: String
        var value: String
        var outcome: Outcome
        /// Where it is in the manifest, and what stands there.
        var place: String
        var result: String?
        var rule: String?
        var matters: Bool?
    }

    private let original: OriginalImage
    private let manifest: ImageManifest
    private let config: [String: JSONValue]
    private let document: [String: JSONValue]
    private var fields: [Field] = []

    /// - Returns: the part with all differences and a matrix of all fields.
    /// - Throws: ``CompareError/badConfig(_:)``
    public static func compare(_ original: OriginalImage, _ manifest: ImageManifest, into part: Part) throws -> Part {
        var comparison = try ManifestComparison(original, manifest)
        try comparison.run()
        return comparison.finished(part)
    }

    private init(_ original: OriginalImage, _ manifest: ImageManifest) throws {
        (self.original, self.manifest) = (original, manifest)
        guard case .object(let document)? = try? CanonicalJSON.decode(JSONValue.self, from: Array(original.config.utf8)) else {
            throw CompareError.badConfig(original.id)
        }
        self.document = document
        if case .object(let members)? = document["config"] {
            config = members
        } else if case .object(let members)? = document["container_config"] {
            config = members
        } else {
            config = [:]
        }
    }

    private func finished(_ part: Part) -> Part {
        var part = part
        part.compared += fields.count
        var rows: [Matrix.Row] = []
        for field in fields {
            var differs = false
            if let rule = field.rule {
                let difference = Difference(
                    rule, subject: field.name, left: field.value, right: field.result.map { field.place.isEmpty ? $0 : "\(field.place): \($0)" },
                    matters: field.matters)
                differs = difference.matters
                part.add(difference)
            }
            let known = field.rule.flatMap(RuleTable.rule)
            let use = known.map { ($0.docker, $0.rocket) } ?? Self.use(of: field.name)
            let note = original.notes.first { $0.field == field.name || $0.field == "/" + field.name }?.detail
            let became = field.outcome.rawValue + (note.map { ": \($0)" } ?? "")
            let result = field.result.map { field.place.isEmpty ? $0 : "\(field.place): \($0)" } ?? ""
            rows.append(Matrix.Row(field.name, [field.value, became, result, use.0, use.1], differs: differs))
        }
        part.matrices.append(
            Matrix(
                id: "fields", title: "Each field of the Docker configuration",
                columns: ["field", "Docker's value", "became", "in the manifest", "Docker, at run time", "d2a, at run time"],
                rows: rows))
        return part
    }

    /// What each side does with a field that it has.
    private static func use(of field: String) -> (String, String) {
        switch field.split(separator: " ").first.map(String.init) ?? field {
        case "Entrypoint", "Cmd": ("runs both as one list of words", "runs app.exec; words after -- replace Cmd")
        case "User": ("runs the app as this user", "runs the app as this user and group")
        case "Env": ("sets it", "sets it")
        case "WorkingDir": ("starts the app there, and makes the directory", "starts the app there; it was made when the image was converted")
        case "Volumes": ("mounts a new volume with a copy of what is there", "mounts a volume with a copy of what is there, or the one that --volume names")
        case "ExposedPorts", "PortSpecs": ("publishes it with -P", "publishes it with --port")
        case "Labels": ("shows it", "keeps it in the pod's manifest")
        case "os", "architecture", "variant": ("chooses the image by it", "refuses to run another platform's")
        default: ("shows it", "keeps it in the manifest")
        }
    }

    // MARK: Fields

    private mutating func run() throws {
        try command()
        try user()
        try environment()
        try workingDirectory()
        try volumes()
        try ports()
        try labels()
        try platform()
        try texts()
        try others()
        fields.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private mutating func add(
        _ name: String, _ value: String, _ outcome: Outcome, _ place: String = "", _ result: String? = nil, rule: String? = nil, matters: Bool? = nil
    ) {
        fields.append(Field(name: name, value: value, outcome: outcome, place: place, result: result, rule: rule, matters: matters))
    }

    /// A value that must stand at a place of the manifest as it is.
    private mutating func expect(_ name: String, _ value: String, at place: String, _ result: String?) {
        if result == value { add(name, value, .renamed, place, result) } else { add(name, value, .lost, place, result, rule: "field-lost") }
    }

    private static func text(_ value: JSONValue) throws -> String { try ManifestDifferences.text(value) }

    private func strings(_ value: JSONValue?) -> [String]? {
        guard case .array(let items)? = value else { return nil }
        return items.compactMap(\.string)
    }

    private func keys(_ name: String) -> [String] {
        guard case .object(let members)? = config[name] else { return [] }
        return members.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private mutating func command() throws {
        var expected: [String] = []
        for name in ["Entrypoint", "Cmd"] {
            guard let value = config[name], value != .null else { continue }
            if let words = strings(value) {
                let exec = manifest.app?.exec ?? []
                let found = Array(exec.dropFirst(expected.count).prefix(words.count))
                expected += words
                let text = try CanonicalJSON.text(words)
                guard !words.isEmpty else { continue }
                if found == words {
                    add(name, text, .renamed, "app.exec", try CanonicalJSON.text(found))
                } else {
                    add(name, text, .lost, "app.exec", try CanonicalJSON.text(exec), rule: "field-lost")
                }
            } else if let text = value.string, !text.isEmpty {
                expected += ["/bin/sh", "-c", text]
                add(name, text, .changed, "app.exec", try CanonicalJSON.text(["/bin/sh", "-c", text]), rule: "command-string")
            }
        }
        if expected != manifest.app?.exec ?? [] {
            add("Entrypoint and Cmd", try CanonicalJSON.text(expected), .lost, "app.exec", try CanonicalJSON.text(manifest.app?.exec ?? []), rule: "field-lost")
        }
    }

    private mutating func user() throws {
        guard let app = manifest.app else { return }
        let result = "\(app.user):\(app.group)"
        guard let user = config["User"]?.string, !user.isEmpty else {
            if result != "0:0" { add("User", "", .lost, "app.user, app.group", result, rule: "field-lost") }
            return
        }
        var parts = user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2, parts[1].isEmpty { parts.removeLast() }
        if parts[0].isEmpty { parts[0] = "0" }
        let isKept = app.user == parts[0] && (parts.count == 1 || app.group == parts[1])
        if !isKept {
            add("User", user, .lost, "app.user, app.group", result, rule: "field-lost")
        } else if parts.count == 1, original.knowsUser == false, app.group != "0" {
            // Docker gives whoever the image doesn't know root's group.
            add("User", user, .lost, "app.user, app.group", result, rule: "field-lost")
        } else {
            add("User", user, .renamed, "app.user, app.group", result)
        }
    }

    private mutating func environment() throws {
        let kept = Dictionary((manifest.app?.environment ?? []).map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        let annotation = manifest.annotation("d2a.io/docker/env").flatMap { try? CanonicalJSON.decode([String].self, from: Array($0.utf8)) } ?? []
        let entries = strings(config["Env"]) ?? []
        // The last of a name counts, with Docker too.
        var last: [String: Int] = [:]
        for (number, entry) in entries.enumerated() { last[String(entry.prefix { $0 != "=" })] = number }
        for (number, entry) in entries.enumerated() {
            let name = String(entry.prefix { $0 != "=" })
            guard last[name] == number else { continue }
            if name.isEmpty, entry.hasPrefix("=") {
                add("Env \(entry)", entry, .lost, rule: "env-without-name")
                continue
            }
            guard entry.contains("=") else {
                add("Env \(name)", entry, .lost, rule: "env-without-value", matters: ["PATH", "HOSTNAME"].contains(name))
                continue
            }
            let value = String(entry.dropFirst(name.count + 1))
            if kept[name] == nil, annotation.contains(entry) {
                add("Env \(name)", value, .annotation, "annotations d2a.io/docker/env", value, rule: "env-name")
            } else {
                expect("Env \(name)", value, at: "app.environment", kept[name])
            }
        }
    }

    private mutating func workingDirectory() throws {
        guard let directory = config["WorkingDir"]?.string, !directory.isEmpty else { return }
        let kept = manifest.app?.workingDirectory
        if directory.hasPrefix("/") {
            expect("WorkingDir", directory, at: "app.workingDirectory", kept)
        } else {
            add("WorkingDir", directory, .changed, "app.workingDirectory", kept, rule: kept == "/" + directory ? "relative-workdir" : "field-lost")
        }
    }

    private mutating func volumes() throws {
        for path in keys("Volumes") {
            let point = manifest.app?.mountPoints?.first { $0.path == path || $0.path == "/" + path }
            guard let point else {
                let hasName = path.utf8.contains { byte in
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                }
                add("Volumes \(path)", path, .lost, rule: hasName ? "field-lost" : "volume-without-name")
                continue
            }
            let result = "\(point.name) at \(point.path)"
            if path.hasPrefix("/") {
                add("Volumes \(path)", path, .renamed, "app.mountPoints", result)
            } else {
                add("Volumes \(path)", path, .changed, "app.mountPoints", result)
            }
        }
    }

    private mutating func ports() throws {
        let name = keys("ExposedPorts").isEmpty ? "PortSpecs" : "ExposedPorts"
        for text in keys("ExposedPorts").isEmpty ? strings(config["PortSpecs"]) ?? [] : keys("ExposedPorts") {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            let proto = parts.count > 1 ? parts[1].lowercased() : "tcp"
            let port = manifest.app?.ports?.first {
                bounds.count <= 2 && $0.protocol == proto && $0.port == bounds[0] && bounds.last! != nil && $0.count ?? 1 == bounds.last!! &- $0.port &+ 1
            }
            if let port {
                add("\(name) \(text)", text, .renamed, "app.ports", port.name)
            } else {
                let isPort = parts.count <= 2 && bounds.allSatisfy { $0 != nil && $0 != 0 }
                add("\(name) \(text)", text, .lost, rule: isPort ? "field-lost" : "port-malformed")
            }
        }
    }

    private mutating func labels() throws {
        guard case .object(let members)? = config["Labels"] else { return }
        for (name, value) in members {
            let (text, kept) = (try Self.text(value), manifest.app?.userLabels?[name])
            if kept == text { add("Labels \(name)", text, .same, "app.userLabels", kept) } else { expect("Labels \(name)", text, at: "app.userLabels", kept) }
        }
    }

    private mutating func platform() throws {
        let kept = manifest.annotation("d2a.io/docker/platform")
        for (name, label) in [("os", "os"), ("architecture", "arch"), ("variant", "arch")] {
            guard let value = document[name]?.string, !value.isEmpty else { continue }
            if let result = manifest.label(label) {
                add(name, value, result == value ? .same : .renamed, "labels \(label)", result)
            } else if let kept {
                add(name, value, .annotation, "annotations d2a.io/docker/platform", kept, rule: "platform-unknown")
            } else {
                add(name, value, .lost, rule: document["os"] == nil || document["architecture"] == nil ? "platform-unknown" : "field-lost")
            }
        }
    }

    private mutating func texts() throws {
        for (name, annotation) in [("author", "authors"), ("comment", "docker-comment")] {
            guard let value = document[name]?.string, !value.isEmpty else { continue }
            expect(name, value, at: "annotations \(annotation)", manifest.annotation(annotation))
        }
        guard let created = document["created"]?.string, !created.isEmpty else { return }
        if let kept = manifest.annotation("d2a.io/docker/created") {
            add("created", created, .annotation, "annotations d2a.io/docker/created", kept, rule: kept == created ? "created-malformed" : "field-lost")
        } else {
            expect("created", created, at: "annotations created", manifest.annotation("created"))
        }
    }

    // MARK: Annotations

    private static let mapped: Set = ["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "ExposedPorts", "PortSpecs", "Labels"]
    private static let described: Set = ["config", "os", "architecture", "variant", "author", "comment", "created"]

    /// All fields that appc has no place for.
    private mutating func others() throws {
        for (name, value) in config where !Self.mapped.contains(name) && !Self.saysNothing(value, name) {
            var (rule, matters): (String, Bool?) = ("unused-field", nil)
            switch name {
            case "Healthcheck": (rule, matters) = ("healthcheck", strings(value["Test"])?.first != "NONE" && strings(value["Test"])?.isEmpty == false)
            case "StopSignal": (rule, matters) = ("stop-signal", !["SIGTERM", "TERM", "15"].contains(value.string))
            case "OnBuild", "Shell", "ArgsEscaped", "Image": rule = "build-only"
            default: break
            }
            try annotated(name, value, rule, matters)
        }
        let usesContainer = document["config"] == nil || document["config"] == .null
        for (name, value) in document where !Self.described.contains(name) && !Self.saysNothing(value, name) {
            if name == "container_config", usesContainer { continue }
            // Both stand elsewhere in the manifest.
            if name == "id", value.string == manifest.annotation("appc.io/docker/imageid") { continue }
            if name == "parent", value.string == manifest.annotation("appc.io/docker/parentimageid") {
                add(name, try Self.text(value), .renamed, "annotations appc.io/docker/parentimageid", value.string)
                continue
            }
            try annotated(name, value, "build-history", nil)
        }
    }

    /// Two fields may differ in nothing but their letters' case, and have the same annotation with a number behind it.
    private mutating func annotated(_ name: String, _ value: JSONValue, _ rule: String, _ matters: Bool?) throws {
        let text = try Self.text(value)
        guard let base = ACIdentifier.sanitized("d2a.io/docker/" + name) else { return add(name, text, .lost, rule: "field-lost") }
        let kept = manifest.annotations?.first { annotation in
            (annotation.name == base || annotation.name.hasPrefix(base + "-"))
                && (try? CanonicalJSON.decode(JSONValue.self, from: Array(annotation.value.utf8))) == value
        }
        guard let kept else { return add(name, text, .lost, "annotations \(base)", manifest.annotation(base), rule: "field-lost") }
        add(name, text, .annotation, "annotations \(kept.name)", try Self.text(value), rule: rule, matters: matters)
    }

    /// What Docker writes for completeness: nothing is lost with it.
    private static func saysNothing(_ value: JSONValue, _ field: String) -> Bool {
        switch value {
        case .null, .string(""), .array([]), .object([:]), .bool(false): true
        case .integer(0): field != "StopTimeout"
        default: false
        }
    }
}
