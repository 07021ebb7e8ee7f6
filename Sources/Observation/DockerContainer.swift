import Accounts
import Files
import Glibc
import Isolation
import RuntimeBundle

/// The container that Docker documents, of an image whose tree is on disk, for an OCI runtime.
struct DockerContainer {
    /// A user that Docker would refuse.
    struct UnknownUser: Error { var reason: String }

    let settings: DockerSettings
    let tree: Directory

    /// - Parameters:
    ///   - words: ENTRYPOINT and CMD, or what takes their place.
    ///   - root: where the tree is mounted.
    ///   - files: the host's files for `/etc/hosts` and so on.
    ///   - mounts: what else is mounted.
    /// - Throws: ``UnknownUser``, `IsolationError`.
    func configuration(
        _ words: [String], root: String, hostName: String, files: [(path: String, source: String)], mounts: [RuntimeConfiguration.Mount],
        _ conditions: RunConditions
    ) throws -> RuntimeConfiguration {
        let user = try self.user()
        var defaults = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=\(hostName)"]
        if conditions.terminal { defaults.append("TERM=xterm") }
        var configuration = RuntimeConfiguration.docker(
            arguments: words, environment: [], workingDirectory: settings.workingDirectory, user: user, root: root, hostname: hostName, files: files,
            terminal: conditions.terminal)
        configuration.process.env = settings.variables(defaults: defaults)
        configuration.root.readonly = conditions.readOnlyRoot
        // So are the engine's files then.
        if conditions.readOnlyRoot {
            for index in configuration.mounts.indices where files.contains(where: { $0.path == configuration.mounts[index].destination }) {
                configuration.mounts[index].options = configuration.mounts[index].options.map { $0 == "rw" ? "ro" : $0 }
            }
        }
        configuration.mounts += mounts
        // Docker's list of today, which is that of pods too.
        configuration.linux.seccomp = try SystemCallPolicy.standard.rulesForRuntime(.standard).rules
        return configuration
    }

    /// Who Docker would run the program as (moby `daemon/oci_linux.go`, opencontainers/runc `libcontainer/user`): a number needs no entry, and
    /// has group 0 then; the primary group is among the supplementary ones.
    func user() throws -> RuntimeConfiguration.User {
        let users = content("etc/passwd"), groups = content("etc/group")
        let parts = settings.user.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let name = parts.first ?? ""
        let wanted = name.isEmpty ? "0" : name
        let entry = UserEntry.find(wanted, in: users)
        guard let uid = entry?.user ?? UInt32(wanted).flatMap({ $0 <= Int32.max ? $0 : nil }) else {
            throw UnknownUser(reason: "unable to find user \(name): no matching entries in passwd file")
        }
        var gid = entry?.group ?? 0
        var more: [UInt32] = []
        if parts.count > 1, !parts[1].isEmpty {
            guard let group = GroupEntry.find(parts[1], in: groups)?.group ?? UInt32(parts[1]).flatMap({ $0 <= Int32.max ? $0 : nil }) else {
                throw UnknownUser(reason: "unable to find group \(parts[1]): no matching entries in group file")
            }
            gid = group
        } else if let entry {
            more = GroupEntry.of(member: entry.name, in: groups).map(\.group)
        }
        return .init(uid: uid, gid: gid, additionalGids: [gid] + more.filter { $0 != gid })
    }

    private func content(_ path: String) -> [UInt8] {
        guard let file = try? tree.inside(path), let status = try? file.status(), status.st_mode & S_IFMT == S_IFREG else { return [] }
        return (try? file.readAll(limit: 4 << 20)) ?? []
    }
}
