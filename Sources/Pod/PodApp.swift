import Accounts
import AppC
import Files
import Glibc

/// An app as its process will be: every name looked up, every default filled in (appc spec `ace.md#execution-environment`).
public struct PodApp: Sendable, Equatable {
    /// An AC Name.
    public var name: String
    /// Program and arguments; a program without a slash is looked for in `PATH`.
    public var arguments: [String]
    public var environment: [NamedValue]
    public var workingDirectory: String
    public var user: UInt32
    public var group: UInt32
    public var supplementaryGroups: [UInt32]
    public var capabilities: Capabilities
    /// Programs that run, as root, before the app and after it.
    public var preStart: [String]?
    public var postStop: [String]?
    public var readOnlyRoot: Bool
    public var mounts: [AppMount]

    /// An annotation of an app in a pod: whether whoever chose the user, or a group, left the group to the image's `/etc/passwd`.
    static let ownGroup = "d2a.io/own-group"

    public static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// - Parameters:
    ///   - pod: what the app is a part of, with a mount for every mount point (``PodManifest/completed(images:)``).
    ///   - root: the image's rendered root, in which users and groups are looked up. It is as hostile as the image.
    ///   - terminal: the kind of terminal the app gets, or nil for none.
    ///   - metadata: where the pod's metadata service is.
    /// - Throws: ``PodError``; `FileError` where the image's accounts can't be read.
    public init(
        _ item: PodManifestApp, of pod: PodManifest, image manifest: ImageManifest, root: Directory, terminal: String? = nil, metadata: String? = nil
    ) throws {
        let app = item.app ?? manifest.app ?? App()
        name = item.name
        arguments = app.exec ?? []
        guard let program = arguments.first, !program.isEmpty else { throw PodError.nothingToRun(image: manifest.name) }
        workingDirectory = app.workingDirectory.flatMap { $0.isEmpty ? nil : $0 } ?? "/"
        capabilities = .standard
        preStart = app.eventHandlers?.first { $0.name == "pre-start" }?.exec
        postStop = app.eventHandlers?.first { $0.name == "post-stop" }?.exec
        readOnlyRoot = item.readOnlyRootFS ?? false
        mounts = try AppMount.all(of: item, app, in: pod)

        let accounts = try ImageAccounts(root)
        let choice = item.annotations?.first { $0.name == Self.ownGroup }?.value
        let ownGroup = choice == "true"
        let owner = try accounts.owner(app, ownGroup: ownGroup, isFromDocker: manifest.isFromDocker, root: root)
        (user, group) = (owner.user, owner.group)
        supplementaryGroups = app.supplementaryGIDs ?? []
        // In Docker the group is one of the supplementary ones too: what it is refused stays refused to a process that takes another
        // (CVE-2022-36109). Docker also consults the image's /etc/group, where no group was chosen, not even the user's own. The appc spec
        // and rkt do neither.
        if manifest.isFromDocker, !supplementaryGroups.contains(group) { supplementaryGroups.insert(group, at: 0) }
        // Without a choice of one the image has a number, or from the ancestor of docker2aci the user's name.
        let looksLeft = app.group == (manifest.app ?? App()).group && (UInt32(app.group) != nil || app.group == app.user)
        let isLeft = ownGroup || choice == nil && looksLeft && manifest.annotation("d2a.io/docker/user") == nil
        if manifest.isFromDocker, isLeft, let user = owner.entry, user.group == group {
            for entry in GroupEntry.of(member: user.name, in: accounts.groups) where !supplementaryGroups.contains(entry.group) {
                supplementaryGroups.append(entry.group)
            }
        }

        var variables = VariableList()
        variables["PATH"] = Self.defaultPath
        variables["HOME"] = owner.entry.map(\.home).flatMap { $0.isEmpty ? nil : $0 } ?? "/"
        variables["USER"] = owner.entry?.name ?? String(user)
        variables["LOGNAME"] = owner.entry?.name ?? String(user)
        variables["SHELL"] = "/bin/sh"
        if let terminal { variables["TERM"] = terminal }
        // Names that appc doesn't allow and Docker does.
        let odd = manifest.annotation("d2a.io/docker/env").flatMap { try? CanonicalJSON.decode([String].self, from: Array($0.utf8)) } ?? []
        for entry in odd {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        }
        for variable in app.environment ?? [] { variables[variable.name] = variable.value }
        variables["AC_APP_NAME"] = name
        variables["container"] = "d2a"
        if let metadata { variables["AC_METADATA_URL"] = metadata }
        environment = variables.all

        for word in arguments + (preStart ?? []) + (postStop ?? []) where word.utf8.contains(0) { throw PodError.unusable(what: "argument", value: word) }
        for variable in environment where variable.name.isEmpty || variable.name.contains("=") || (variable.name + variable.value).utf8.contains(0) {
            throw PodError.unusable(what: "environment variable", value: variable.name)
        }
        if workingDirectory.utf8.contains(0) { throw PodError.unusable(what: "working directory", value: workingDirectory) }
    }

    /// What `PATH` is in the end.
    public var path: String { environment.first { $0.name == "PATH" }?.value ?? Self.defaultPath }
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

    /// Who an app is to be.
    /// - Parameter ownGroup: whether the user's group is the one that it has in the image, and none was chosen.
    func owner(_ app: App, ownGroup: Bool, isFromDocker: Bool, root: Directory) throws -> (user: UInt32, group: UInt32, entry: UserEntry?) {
        let entry = UserEntry.find(app.user, in: users)
        guard let user = try entry?.user ?? Self.number(app.user, of: root, \.st_uid) ?? (app.user == "root" ? 0 : nil) else {
            throw PodError.unknownUser(app.user)
        }
        if ownGroup, let entry { return (user, entry.group, entry) }
        // As Docker's engine does with users that the image doesn't know.
        if ownGroup, isFromDocker { return (user, 0, nil) }
        if let found = try GroupEntry.find(app.group, in: groups)?.group ?? Self.number(app.group, of: root, \.st_gid) { return (user, found, entry) }
        if app.group == "root" { return (user, 0, entry) }
        // docker2aci writes the user for a group where the image names none.
        if app.group == app.user { return (user, entry?.group ?? user, entry) }
        throw PodError.unknownGroup(app.group)
    }

    /// A number, or the owner of a file of the image's.
    private static func number(_ text: String, of root: Directory, _ owner: KeyPath<stat, UInt32>) throws -> UInt32? {
        if let number = UInt32(text) { return number }
        guard text.hasPrefix("/") else { return nil }
        let path = Int32(0o10000000)  // O_PATH, which Swift can't read
        return try root.inside(text, path).status()[keyPath: owner]
    }
}
