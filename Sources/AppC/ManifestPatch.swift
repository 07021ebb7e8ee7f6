/// Changes to an image manifest, each of which replaces or adds what it names (`actool patch-manifest`).
public struct ManifestPatch: Sendable, Codable {
    public var name: String?
    public var exec: [String]?
    public var user: String?
    public var group: String?
    public var workingDirectory: String?
    public var supplementaryGIDs: [UInt32]?
    public var environment: [NamedValue] = []
    public var mountPoints: [MountPoint] = []
    public var ports: [Port] = []
    public var labels: [NamedValue] = []
    public var annotations: [NamedValue] = []
    /// Linux capabilities to keep, and no others.
    public var capabilities: [String] = []

    public init() {}

    public func applied(to manifest: ImageManifest) -> ImageManifest {
        var manifest = manifest
        if let name { manifest.name = name }
        manifest.labels = Self.merged(manifest.labels, labels, by: \.name)
        manifest.annotations = Self.merged(manifest.annotations, annotations, by: \.name)
        guard touchesApp else { return manifest }
        var app = manifest.app ?? App()
        if let exec { app.exec = exec }
        if let user { app.user = user }
        if let group { app.group = group }
        if let workingDirectory { app.workingDirectory = workingDirectory }
        if let supplementaryGIDs { app.supplementaryGIDs = supplementaryGIDs }
        app.environment = Self.merged(app.environment, environment, by: \.name)
        app.mountPoints = Self.merged(app.mountPoints, mountPoints, by: \.name)
        app.ports = Self.merged(app.ports, ports, by: \.name)
        if !capabilities.isEmpty {
            let set = Isolator(name: "os/linux/capabilities-retain-set", value: .object(["set": .array(capabilities.map { .string($0) })]))
            app.isolators = (app.isolators ?? []).filter { $0.name != set.name } + [set]
        }
        manifest.app = app
        return manifest
    }

    private var touchesApp: Bool {
        exec != nil || user != nil || group != nil || workingDirectory != nil || supplementaryGIDs != nil || !environment.isEmpty || !mountPoints.isEmpty
            || !ports.isEmpty || !capabilities.isEmpty
    }

    private static func merged<T>(_ old: [T]?, _ new: [T], by name: KeyPath<T, String>) -> [T]? {
        var result = old ?? []
        for item in new {
            if let index = result.firstIndex(where: { $0[keyPath: name] == item[keyPath: name] }) { result[index] = item } else { result.append(item) }
        }
        return result.isEmpty ? old : result
    }
}
