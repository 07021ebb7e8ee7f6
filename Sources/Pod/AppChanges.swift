import AppC

/// What a person changes of an app for one pod.
public struct AppChanges: Sendable {
    /// An AC Name, in place of the last part of the image's name.
    public var name: String?
    /// Replaces the image's whole command but for the arguments.
    public var exec: String?
    /// What stands after `--`.
    public var arguments: [String] = []
    public var user: String?
    public var group: String?
    public var supplementaryGIDs: [UInt32]?
    public var workingDirectory: String?
    public var readOnlyRoot: Bool?
    /// Added to the image's, in this order; a later one of the same name wins.
    public var environment: [NamedValue] = []
    /// Used only where neither the image nor ``environment`` has a variable of the name.
    public var inheritedEnvironment: [NamedValue] = []
    public var mounts: [Mount] = []
    /// Added to the image's, in place of those whose names ``replacedIsolators`` has.
    public var isolators: [Isolator] = []
    public var replacedIsolators: Set<String> = []
    public var annotations: [NamedValue] = []
    public var userAnnotations: [NamedValue] = []
    public var userLabels: [NamedValue] = []

    public init() {}
}

extension PodManifestApp {
    /// An image's app with a person's changes, complete: its `app` is all that is looked at later.
    /// - Throws: ``PodError``
    public init(_ manifest: ImageManifest, id: String, changes: AppChanges) throws {
        let name = changes.name ?? manifest.name.split(separator: "/").last.flatMap { ACName.sanitized(String($0)) } ?? "app"
        guard ACName.isValid(name) else { throw PodError.unusable(what: "name of an app", value: name) }
        self.init(name: name, image: Image(id: id, name: manifest.name, labels: manifest.labels))
        var app = manifest.app ?? App()
        let exec = Self.command(manifest, changes)
        guard let program = exec.first, !program.isEmpty else { throw PodError.nothingToRun(image: manifest.name) }
        app.exec = exec
        if let user = changes.user, !user.isEmpty { app.user = user }
        if let group = changes.group, !group.isEmpty { app.group = group }
        if let groups = changes.supplementaryGIDs { app.supplementaryGIDs = groups }
        if let directory = changes.workingDirectory {
            guard directory.hasPrefix("/") else { throw PodError.notAbsolute(what: "working directory", path: directory) }
            app.workingDirectory = directory
        }
        app.environment = Self.environment(app.environment ?? [], changes)
        if !changes.isolators.isEmpty || !changes.replacedIsolators.isEmpty {
            app.isolators = (app.isolators ?? []).filter { !changes.replacedIsolators.contains($0.name) } + changes.isolators
        }
        for pair in changes.userAnnotations { app.userAnnotations = (app.userAnnotations ?? [:]).merging([pair.name: pair.value]) { $1 } }
        for pair in changes.userLabels { app.userLabels = (app.userLabels ?? [:]).merging([pair.name: pair.value]) { $1 } }
        self.app = app
        readOnlyRootFS = changes.readOnlyRoot
        mounts = changes.mounts.isEmpty ? nil : changes.mounts
        var notes = changes.annotations
        if let group = changes.group, !group.isEmpty {
            notes.append(NamedValue(name: PodApp.ownGroup, value: "false"))
        } else if let user = changes.user, !user.isEmpty {
            notes.append(NamedValue(name: PodApp.ownGroup, value: "true"))
        }
        annotations = notes.isEmpty ? nil : notes
    }

    /// Arguments replace Docker's CMD and keep its ENTRYPOINT, as `docker run` does; those of a native ACI are appended, as rkt
    /// does.
    private static func command(_ manifest: ImageManifest, _ changes: AppChanges) -> [String] {
        if let exec = changes.exec { return [exec] + changes.arguments }
        let exec = manifest.app?.exec ?? []
        if changes.arguments.isEmpty { return exec }
        guard manifest.isFromDocker else { return exec + changes.arguments }
        let entrypoint = manifest.annotation("appc.io/docker/entrypoint").flatMap { try? CanonicalJSON.decode([String].self, from: Array($0.utf8)) }
        return (entrypoint ?? []) + changes.arguments
    }

    private static func environment(_ image: [NamedValue], _ changes: AppChanges) -> [NamedValue]? {
        var variables = VariableList(image)
        for variable in changes.environment { variables[variable.name] = variable.value }
        for variable in changes.inheritedEnvironment where variables[variable.name] == nil { variables[variable.name] = variable.value }
        return variables.all.isEmpty ? nil : variables.all
    }
}

/// Environment variables: one of a name, in the order of their first coming.
struct VariableList {
    private(set) var all: [NamedValue] = []
    private var places: [String: Int] = [:]

    init(_ variables: [NamedValue] = []) {
        for variable in variables { self[variable.name] = variable.value }
    }

    subscript(name: String) -> String? {
        get { places[name].map { all[$0].value } }
        set {
            guard let newValue else { return }
            if let place = places[name] {
                all[place].value = newValue
            } else {
                places[name] = all.count
                all.append(NamedValue(name: name, value: newValue))
            }
        }
    }
}

extension ImageManifest {
    /// Whether docker2aci, ours or the ancestor, made it.
    public var isFromDocker: Bool { annotations?.contains { $0.name.hasPrefix("appc.io/docker/") } ?? false }
}
