import AppC
import Digest
import Image

/// Maps a Docker configuration onto an appc image manifest (docs/manifest.md).
struct ManifestGenerator {
    let image: SourceImage
    let config: DockerConfig
    /// Primary group of a user of the image's own `/etc/passwd`; nil where it doesn't name the user.
    let primaryGroup: (_ user: String) throws -> String?
    /// What has no equal in appc.
    private(set) var notes: [ConversionNote] = []

    private mutating func note(_ outcome: ConversionNote.Outcome, _ field: String, _ detail: String) {
        notes.append(ConversionNote(outcome: outcome, field: field, detail: detail))
    }

    init(image: SourceImage, config: DockerConfig, primaryGroup: @escaping (String) throws -> String?) {
        self.image = image
        self.config = config
        self.primaryGroup = primaryGroup
    }

    /// Of the image as a whole.
    mutating func manifest() throws -> ImageManifest {
        var manifest = ImageManifest(name: try name(suffix: ""))
        manifest.labels = labels()
        manifest.app = try app()
        manifest.annotations = try annotations()
        return manifest
    }

    /// Of one layer (base is 0) as an image of its own. The top layer's has all that the whole image's has.
    /// - Parameters:
    ///   - whole: what ``manifest()`` made.
    ///   - below: the image of the layer below, and its ID.
    ///   - whitelist: the absolute paths that are shown; nil for all.
    func manifest(layer: Int, of whole: ImageManifest, on below: (manifest: ImageManifest, id: ImageID)?, whitelist: [String]?) throws -> ImageManifest {
        let id = image.layers[layer].label
        var manifest = layer == image.layers.count - 1 ? whole : ImageManifest(name: "")
        manifest.name = try name(suffix: "-" + id.split(separator: ":").joined(separator: "-"))
        manifest.labels = [NamedValue(name: "layer", value: id)] + (whole.labels ?? [])
        manifest.dependencies = below.map { [Dependency(imageName: $0.manifest.name, imageID: $0.id.description, labels: $0.manifest.labels)] }
        manifest.pathWhitelist = whitelist
        return manifest
    }

    private func name(suffix: String) throws -> String {
        let fullName = image.name.registry.map { "\($0)/\(image.name.repository)" } ?? image.name.repository
        guard let name = ACIdentifier.sanitized(fullName) else { throw ConversionError.badName(fullName) }
        return name + suffix
    }

    /// A platform that appc has no name for.
    private var platform: String?

    // MARK: Labels

    private mutating func labels() -> [NamedValue] {
        var labels: [NamedValue] = []
        if let tag = image.name.tag { labels.append(NamedValue(name: "version", value: tag)) }
        guard let os = config.os, let architecture = config.architecture else { return labels }
        if let arch = Architecture.appc(os: os, architecture: architecture, variant: config.variant) {
            labels.append(NamedValue(name: "os", value: os))
            labels.append(NamedValue(name: "arch", value: arch))
        } else {
            platform = "\(os)/\(architecture)" + (config.variant.map { "/\($0)" } ?? "")
            note(.annotation, "/architecture", "\(platform!) has no appc name: kept as d2a.io/docker/platform, without the labels os and arch")
        }
        return labels
    }

    // MARK: App

    private mutating func app() throws -> App {
        let exec = try (config.command("Entrypoint") ?? []) + (config.command("Cmd") ?? [])
        let (user, group) = try owner()
        var app = App(user: user, group: group)
        app.exec = exec.isEmpty ? nil : exec
        if let directory = try config.string("WorkingDir") {
            app.workingDirectory = directory.hasPrefix("/") ? directory : "/" + directory
            if !directory.hasPrefix("/") { note(.changed, "WorkingDir", "\"\(directory)\" became absolute") }
        }
        app.environment = try environment()
        app.mountPoints = try mountPoints()
        app.ports = try ports()
        app.userLabels = try config.dictionary("Labels").flatMap { $0.isEmpty ? nil : $0 }
        return app
    }

    private func owner() throws -> (user: String, group: String) {
        let parts = try (config.string("User") ?? "").split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let user = parts[0].isEmpty ? "0" : parts[0]
        if parts.count > 1, !parts[1].isEmpty { return (user, parts[1]) }
        if parts[0].isEmpty { return ("0", "0") }
        // Docker's engine gives a number that the image doesn't know the group of root; a name that it doesn't know, nothing.
        return (user, try primaryGroup(user) ?? (UInt32(user) == nil ? user : "0"))
    }

    /// Variables whose names appc doesn't allow (`a.b`): the runner takes them from an annotation.
    private var oddVariables: [String] = []

    private mutating func environment() throws -> [NamedValue]? {
        var result: [NamedValue] = []
        var places: [String: Int] = [:]
        for (number, entry) in (try config.strings("Env") ?? []).enumerated() {
            guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex else {
                note(.dropped, "Env[\(number)]", "\"\(entry.prefix(60))\" has no name and value: it is left out")
                continue
            }
            let variable = NamedValue(name: String(entry[..<equals]), value: String(entry[entry.index(after: equals)...]))
            guard EnvironmentName.isValid(variable.name) else {
                oddVariables.append(entry)
                note(.annotation, "Env[\(number)]", "appc has no variables named like \"\(variable.name.prefix(60))\"")
                continue
            }
            if let place = places[variable.name] {
                result[place] = variable
            } else {
                places[variable.name] = result.count
                result.append(variable)
            }
        }
        return result.isEmpty ? nil : result
    }

    private mutating func mountPoints() throws -> [MountPoint]? {
        var result: [MountPoint] = []
        var taken: Set<String> = []
        var counts: [String: Int] = [:]
        for path in try config.keys("Volumes") ?? [] {
            guard let suffix = ACName.sanitized(path) else {
                note(.dropped, "Volumes", "\"\(path)\" has no letter or digit for a name: it is left out")
                continue
            }
            let base = "volume-" + suffix
            var name = base
            while !taken.insert(name).inserted {
                counts[base, default: 0] += 1
                name = "\(base)-\(counts[base]!)"
            }
            if !path.hasPrefix("/") { note(.changed, "Volumes", "\"\(path)\" became absolute") }
            result.append(MountPoint(name: name, path: path.hasPrefix("/") ? path : "/" + path, readOnly: false))
        }
        return result.isEmpty ? nil : result.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private mutating func ports() throws -> [Port]? {
        var result: [Port] = []
        var names: Set<String> = []
        for text in try config.keys("ExposedPorts") ?? config.strings("PortSpecs") ?? [] {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            let proto = parts.count > 1 ? parts[1].lowercased() : "tcp"
            let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16(digits: $0) }
            guard parts.count <= 2, (1...2).contains(bounds.count), let first = bounds[0], let last = bounds[bounds.count - 1], first >= 1,
                last >= first, let suffix = ACName.sanitized(proto)
            else {
                note(.dropped, "ExposedPorts", "\"\(text)\" is not NUMBER[-NUMBER][/PROTOCOL]: it is left out")
                continue
            }
            // "80" and "80/tcp" are the same.
            guard names.insert("\(parts[0])-\(suffix)").inserted else { continue }
            result.append(Port(name: "\(parts[0])-\(suffix)", protocol: proto, port: first, count: last - first + 1))
        }
        return result.isEmpty ? nil : result.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    // MARK: Annotations

    /// Members of `config` that have their place in the manifest.
    private static let mapped: Set = ["User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "ExposedPorts", "PortSpecs", "Labels"]

    private mutating func annotations() throws -> [NamedValue] {
        var result: [NamedValue] = []
        func add(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { result.append(NamedValue(name: name, value: value)) }
        }
        if let created = config.created, !created.isEmpty {
            let isTime = Timestamp.isValid(created)
            add(isTime ? "created" : "d2a.io/docker/created", created)
            if !isTime { note(.annotation, "created", "\"\(created.prefix(60))\" is not a time by RFC 3339") }
        }
        add("authors", config.author)
        add("docker-comment", config.comment)
        add("appc.io/docker/originalname", image.name.original)
        add("appc.io/docker/registryurl", image.name.registry)
        add("appc.io/docker/repository", image.name.repository)
        add("appc.io/docker/tag", image.name.tag)
        add("appc.io/docker/imageid", image.id)
        add("appc.io/docker/parentimageid", config.parent)
        add("appc.io/docker/manifesthash", image.manifestDigest?.description)
        if let entrypoint = try config.command("Entrypoint") { add("appc.io/docker/entrypoint", try CanonicalJSON.text(entrypoint)) }
        if let command = try config.command("Cmd") { add("appc.io/docker/cmd", try CanonicalJSON.text(command)) }
        // Who chooses a group, if only the user's own, has no others; user and group alone would look as if none was chosen.
        if let user = try config.string("User"), case let parts = user.split(separator: ":", maxSplits: 1).map(String.init), parts.count == 2,
            try parts[1] == parts[0] || parts[1] == primaryGroup(parts[0])
        {
            add("d2a.io/docker/user", user)
        }
        add("d2a.io/docker/platform", platform)
        if !oddVariables.isEmpty { add("d2a.io/docker/env", try CanonicalJSON.text(oddVariables)) }

        // What appc has no place for is kept as JSON text, so that nothing of the image is lost.
        var names = Set(result.map(\.name))
        let extras =
            config.fields.filter { !Self.mapped.contains($0.key) && !Self.isEmpty($0.value, $0.key) }.map { ($0.key, $0.value, true) }
            + config.others.filter { !Self.isEmpty($0.value, $0.key) && ($0.key, $0.value) != ("id", .string(image.id)) }.map { ($0.key, $0.value, false) }
        for (field, value, isConfig) in extras.sorted(by: { ($0.2 ? 0 : 1, $0.0) < ($1.2 ? 0 : 1, $1.0) }) {
            guard let base = ACIdentifier.sanitized("d2a.io/docker/" + field) else { continue }
            var name = base
            var number = 0
            while !names.insert(name).inserted {
                number += 1
                name = "\(base)-\(number)"
            }
            add(name, try CanonicalJSON.text(value))
            note(.annotation, isConfig ? field : "/" + field, "kept as \(name)")
        }
        return result
    }

    /// What says nothing: Docker writes such fields for completeness.
    private static func isEmpty(_ value: JSONValue, _ field: String) -> Bool {
        switch value {
        case .null, .string(""), .array([]), .object([:]), .bool(false): true
        case .integer(0): field != "StopTimeout"
        default: false
        }
    }
}

extension UInt16 {
    /// A number of digits alone: `+80` is none.
    fileprivate init?(digits text: Substring) {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        self.init(text)
    }
}
