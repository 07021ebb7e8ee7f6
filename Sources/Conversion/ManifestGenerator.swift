import AppC
import Digest
import Image

/// Maps a Docker configuration onto an appc image manifest (the table is in docs/manifest.md).
struct ManifestGenerator {
    let image: SourceImage
    let config: DockerConfig
    /// Primary group of a user of the image's own `/etc/passwd`; nil where it doesn't name the user.
    let primaryGroup: (_ user: String) throws -> String?
    /// What a person should know: fields that were left out or changed.
    private(set) var warnings: [String] = []

    init(image: SourceImage, config: DockerConfig, primaryGroup: @escaping (String) throws -> String?) {
        self.image = image
        self.config = config
        self.primaryGroup = primaryGroup
    }

    mutating func manifest() throws -> ImageManifest {
        let fullName = image.name.registry.map { "\($0)/\(image.name.repository)" } ?? image.name.repository
        guard let name = ACIdentifier.sanitized(fullName) else { throw ConversionError.badName(fullName) }
        var manifest = ImageManifest(name: name)
        manifest.labels = labels()
        manifest.app = try app()
        manifest.annotations = try annotations()
        return manifest
    }

    // MARK: Labels

    private mutating func labels() -> [NamedValue] {
        var labels: [NamedValue] = []
        if let tag = image.name.tag { labels.append(NamedValue(name: "version", value: tag)) }
        guard let os = config.os, let architecture = config.architecture else { return labels }
        if let arch = Architecture.appc(os: os, architecture: architecture, variant: config.variant) {
            labels.append(NamedValue(name: "os", value: os))
            labels.append(NamedValue(name: "arch", value: arch))
        } else {
            warnings.append("\(os)/\(architecture) has no appc name: the labels os and arch are left out")
        }
        return labels
    }

    // MARK: App

    private mutating func app() throws -> App {
        let exec = try (config.command("Entrypoint") ?? []) + (config.command("Cmd") ?? [])
        let (user, group) = try owner()
        var app = App(user: user, group: group)
        app.exec = exec.isEmpty ? nil : exec
        if let directory = try config.string("WorkingDir") { app.workingDirectory = directory.hasPrefix("/") ? directory : "/" + directory }
        app.environment = try environment()
        app.mountPoints = try mountPoints()
        app.ports = try ports()
        app.userLabels = try config.dictionary("Labels").flatMap { $0.isEmpty ? nil : $0 }
        return app
    }

    private func owner() throws -> (user: String, group: String) {
        guard let user = try config.string("User") else { return ("0", "0") }
        if let colon = user.firstIndex(of: ":") {
            let name = String(user[..<colon])
            let group = String(user[user.index(after: colon)...])
            return (name.isEmpty ? "0" : name, group.isEmpty ? "0" : group)
        }
        return (user, try primaryGroup(user) ?? user)
    }

    private mutating func environment() throws -> [NamedValue]? {
        var result: [NamedValue] = []
        for entry in try config.strings("Env") ?? [] {
            guard let equals = entry.firstIndex(of: "="), equals != entry.startIndex else {
                warnings.append("environment entry \"\(entry)\" has no name and value: it is left out")
                continue
            }
            let variable = NamedValue(name: String(entry[..<equals]), value: String(entry[entry.index(after: equals)...]))
            if let index = result.firstIndex(where: { $0.name == variable.name }) { result[index] = variable } else { result.append(variable) }
        }
        return result.isEmpty ? nil : result
    }

    private mutating func mountPoints() throws -> [MountPoint]? {
        var result: [MountPoint] = []
        var taken: [String: Int] = [:]
        for path in try config.keys("Volumes") ?? [] {
            guard let suffix = ACName.sanitized(path) else {
                warnings.append("volume \"\(path)\" has no letter or digit for a name: it is left out")
                continue
            }
            let name = "volume-" + suffix
            let count = taken[name, default: 0]
            taken[name] = count + 1
            result.append(MountPoint(name: count == 0 ? name : "\(name)-\(count)", path: path.hasPrefix("/") ? path : "/" + path, readOnly: false))
        }
        return result.isEmpty ? nil : result.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    private mutating func ports() throws -> [Port]? {
        var result: [Port] = []
        for text in try config.keys("ExposedPorts") ?? config.strings("PortSpecs") ?? [] {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            let proto = parts.count > 1 ? parts[1].lowercased() : "tcp"
            let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            guard parts.count <= 2, (1...2).contains(bounds.count), let first = bounds[0], let last = bounds[bounds.count - 1], first >= 1,
                last >= first, let suffix = ACName.sanitized(proto)
            else {
                warnings.append("port \"\(text)\" is not NUMBER[-NUMBER][/PROTOCOL]: it is left out")
                continue
            }
            result.append(Port(name: "\(parts[0])-\(suffix)", protocol: proto, port: first, count: last - first + 1))
        }
        return result.isEmpty ? nil : result.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    // MARK: Annotations

    /// Fields of Docker's that appc has no place for: kept as JSON text, so that nothing of the image is lost.
    private static let extraFields = [
        "Healthcheck", "StopSignal", "StopTimeout", "OnBuild", "Shell", "ArgsEscaped", "NetworkDisabled", "Domainname", "Hostname",
    ]

    private func annotations() throws -> [NamedValue] {
        var result: [NamedValue] = []
        func add(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { result.append(NamedValue(name: name, value: value)) }
        }
        add("created", config.created)
        add("authors", config.author)
        add("docker-comment", config.comment)
        add("appc.io/docker/originalname", image.name.original)
        add("appc.io/docker/registryurl", image.name.registry)
        add("appc.io/docker/repository", image.name.repository)
        add("appc.io/docker/tag", image.name.tag)
        add("appc.io/docker/imageid", image.configDigest.description)
        add("appc.io/docker/manifesthash", image.manifestDigest?.description)
        if let entrypoint = try config.command("Entrypoint") { add("appc.io/docker/entrypoint", try CanonicalJSON.text(entrypoint)) }
        if let command = try config.command("Cmd") { add("appc.io/docker/cmd", try CanonicalJSON.text(command)) }
        for field in Self.extraFields {
            guard let value = config.fields[field], value != .null, value != .string(""), value != .array([]), value != .bool(false) else { continue }
            add("d2a.io/docker/\(field.lowercased())", try CanonicalJSON.text(value))
        }
        return result
    }
}
