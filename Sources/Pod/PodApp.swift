import Accounts
import AppC
import Files
import Glibc

/// What a person changes of an app for one run.
public struct AppChanges: Sendable {
    /// Replaces the image's whole command but for the arguments.
    public var exec: String?
    /// What stands after `--`.
    public var arguments: [String] = []
    public var user: String?
    public var group: String?
    public var workingDirectory: String?
    public var environment: [NamedValue] = []

    public init() {}
}

/// An app as its process will be: every name looked up, every default filled in (appc spec `ace.md#execution-environment`).
public struct PodApp: Sendable, Equatable {
    /// An AC Name, from the last part of the image's name.
    public var name: String
    /// Program and arguments; a program without a slash is looked for in `PATH`.
    public var arguments: [String]
    public var environment: [NamedValue]
    public var workingDirectory: String
    public var user: UInt32
    public var group: UInt32
    public var supplementaryGroups: [UInt32]
    public var capabilities: Capabilities

    public static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// - Parameters:
    ///   - root: the image's rendered root, in which users and groups are looked up. It is as hostile as the image.
    ///   - terminal: the kind of terminal the app gets, or nil for none.
    /// - Throws: ``PodError``; `FileError` where the image's accounts can't be read.
    public init(_ manifest: ImageManifest, changes: AppChanges = .init(), root: Directory, terminal: String? = nil) throws {
        let app = manifest.app ?? App()
        name = manifest.name.split(separator: "/").last.flatMap { ACName.sanitized(String($0)) } ?? "app"
        arguments = Self.command(manifest, changes)
        guard let program = arguments.first, !program.isEmpty else { throw PodError.nothingToRun(image: manifest.name) }
        workingDirectory = changes.workingDirectory ?? app.workingDirectory ?? "/"
        capabilities = .standard

        let accounts = try ImageAccounts(root)
        let owner = try accounts.owner(app, changes, root: root)
        (user, group) = (owner.user, owner.group)
        supplementaryGroups = app.supplementaryGIDs ?? []
        // Docker also consults the image's /etc/group; the appc spec and rkt do not.
        if manifest.isFromDocker, changes.group == nil, let name = owner.entry?.name {
            for entry in GroupEntry.of(member: name, in: accounts.groups) where !supplementaryGroups.contains(entry.group) {
                supplementaryGroups.append(entry.group)
            }
        }

        var variables: [NamedValue] = []
        var places: [String: Int] = [:]
        func set(_ name: String, _ value: String) {
            if let index = places[name] {
                variables[index].value = value
            } else {
                places[name] = variables.count
                variables.append(NamedValue(name: name, value: value))
            }
        }
        set("PATH", Self.defaultPath)
        set("HOME", owner.entry.map(\.home).flatMap { $0.isEmpty ? nil : $0 } ?? "/")
        set("USER", owner.entry?.name ?? String(user))
        set("LOGNAME", owner.entry?.name ?? String(user))
        set("SHELL", "/bin/sh")
        if let terminal { set("TERM", terminal) }
        // Names that appc doesn't allow and Docker does.
        let odd = manifest.annotation("d2a.io/docker/env").flatMap { try? CanonicalJSON.decode([String].self, from: Array($0.utf8)) } ?? []
        for entry in odd {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { set(String(parts[0]), String(parts[1])) }
        }
        for variable in (app.environment ?? []) + changes.environment { set(variable.name, variable.value) }
        set("AC_APP_NAME", name)
        set("container", "d2a")
        environment = variables

        for word in arguments where word.utf8.contains(0) { throw PodError.unusable(what: "argument", value: word) }
        for variable in variables where variable.name.isEmpty || variable.name.contains("=") || (variable.name + variable.value).utf8.contains(0) {
            throw PodError.unusable(what: "environment variable", value: variable.name)
        }
        if workingDirectory.utf8.contains(0) { throw PodError.unusable(what: "working directory", value: workingDirectory) }
    }

    /// What `PATH` is in the end.
    public var path: String { environment.first { $0.name == "PATH" }?.value ?? Self.defaultPath }

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
}

extension ImageManifest {
    /// Whether docker2aci, ours or the ancestor, made it.
    public var isFromDocker: Bool { annotations?.contains { $0.name.hasPrefix("appc.io/docker/") } ?? false }
}

/// The users and groups of an image.
private struct ImageAccounts {
    let users: [UInt8]
    let groups: [UInt8]

    init(_ root: Directory) throws {
        users = try Self.content("etc/passwd", root)
        groups = try Self.content("etc/group", root)
    }

    /// A regular file of sane size; anything else counts as missing.
    private static func content(_ path: String, _ root: Directory) throws -> [UInt8] {
        let limit = 4 << 20
        guard let file = try? root.inside(path), try file.status().st_mode & S_IFMT == S_IFREG, try file.size() <= limit else { return [] }
        return try file.readAll(limit: limit)
    }

    func owner(_ app: App, _ changes: AppChanges, root: Directory) throws -> (user: UInt32, group: UInt32, entry: UserEntry?) {
        let wanted = changes.user ?? app.user
        let entry = UserEntry.find(wanted, in: users)
        guard let user = try entry?.user ?? Self.number(wanted, of: root, \.st_uid) ?? (wanted == "root" ? 0 : nil) else { throw PodError.unknownUser(wanted) }
        // A user of one's own brings its primary group along; the image's user has the image's group.
        if changes.group == nil, changes.user != nil, let entry { return (user, entry.group, entry) }
        let wantedGroup = changes.group ?? app.group
        if let found = try GroupEntry.find(wantedGroup, in: groups)?.group ?? Self.number(wantedGroup, of: root, \.st_gid) { return (user, found, entry) }
        if wantedGroup == "root" { return (user, 0, entry) }
        // docker2aci writes the user for a group where the image names none.
        if wantedGroup == wanted { return (user, entry?.group ?? user, entry) }
        throw PodError.unknownGroup(wantedGroup)
    }

    /// A number, or the owner of a file of the image's.
    private static func number(_ text: String, of root: Directory, _ owner: KeyPath<stat, UInt32>) throws -> UInt32? {
        if let number = UInt32(text) { return number }
        guard text.hasPrefix("/") else { return nil }
        let path = Int32(0o10000000)  // O_PATH, which Swift can't read
        return try root.inside(text, path).status()[keyPath: owner]
    }
}
