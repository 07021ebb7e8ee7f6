import CLinux
import Diagnostics
import Files
import Glibc
import Subprocess

/// What lets anyone but root run pods: a user namespace in which this process is root.
public enum UserNamespace {
    /// Whether this process is in one, and not just root or anyone on the host.
    public static var isCurrent: Bool {
        guard let map = try? OpenFile.open("/proc/self/uid_map").readAll(limit: 4096) else { return false }
        return String(decoding: map, as: UTF8.self).split(whereSeparator: \.isWhitespace).prefix(3).map(String.init) != ["0", "0", "4294967295"]
    }

    /// Makes this process root in a user namespace of its own; does nothing for root. To be called before there are other threads.
    ///
    /// The caller is root in there. Where `/etc/subuid` and `/etc/subgid` give the caller more users and newuidmap(1) is there, those
    /// are the others; else there are none, and files of an image all belong to root.
    /// - Throws: ``UserNamespaceError``
    public static func enter() throws {
        let (user, group) = (geteuid(), getegid())
        guard user != 0 else { return }
        // What is found by who one is must be found as before.
        if environmentVariable("D2A_RUN_DIR") == nil {
            setenv("D2A_RUN_DIR", (environmentVariable("XDG_RUNTIME_DIR") ?? "/tmp/d2a-\(user)") + "/d2a", 1)
        }
        let mapper = try Mapper(user: user, group: group)
        guard system_new_user_namespace() == 0 else { throw UserNamespaceError.forbidden(code: errno) }
        if mapper?.run() != true { try mapAlone(user: user, group: group) }
        _ = setgroups(0, nil)
        guard setgid(0) == 0, setuid(0) == 0 else { throw UserNamespaceError.forbidden(code: errno) }
    }

    /// Whether the caller could be more in there than root alone.
    public static var hasOthers: Bool { ranges(of: geteuid()) != nil && (try? programOnPath("newuidmap")) != nil }

    /// What `/etc/subuid` and `/etc/subgid` give a user; nil where either gives nothing.
    fileprivate static func ranges(of user: uid_t) -> (users: (start: UInt32, count: UInt32), groups: (start: UInt32, count: UInt32))? {
        let name = getpwuid(user).map { String(cString: $0.pointee.pw_name) }
        func range(_ file: String) -> (start: UInt32, count: UInt32)? {
            (try? OpenFile.open(file).readAll(limit: 1 << 20)).flatMap { Self.range(in: $0, of: user, name: name) }
        }
        guard let users = range("/etc/subuid"), let groups = range("/etc/subgid") else { return nil }
        return (users, groups)
    }

    private static func mapAlone(user: uid_t, group: gid_t) throws {
        for (name, text) in [("setgroups", "deny"), ("gid_map", "0 \(group) 1"), ("uid_map", "0 \(user) 1")] {
            do { try OpenFile.open("/proc/self/\(name)", O_WRONLY).write(text) } catch { throw UserNamespaceError.forbidden(code: error.code) }
        }
    }

    /// The part of a file such as `/etc/subuid` that is a user's: the first number, and how many.
    static func range(in file: [UInt8], of user: uid_t, name: String?) -> (start: UInt32, count: UInt32)? {
        for line in String(decoding: file, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard fields.count == 3, fields[0] == name || fields[0] == String(user), let start = UInt32(fields[1]), let count = UInt32(fields[2]) else {
                continue
            }
            return (start, count)
        }
        return nil
    }
}

/// A process that stays outside, where newuidmap and newgidmap have the right to give the namespace its users.
private struct Mapper {
    private let pid: pid_t
    private let start: Int32

    /// - Returns: nil where the caller has no users to give.
    init?(user: uid_t, group: gid_t) throws {
        guard let (users, groups) = UserNamespace.ranges(of: user) else { return nil }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw FileError("make", "a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        start = ends[1]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        let script = #"read _ && newuidmap "$1" 0 "$2" 1 1 "$3" "$4" && newgidmap "$1" 0 "$5" 1 1 "$6" "$7""#
        let numbers = [String(getpid()), String(user), String(users.start), String(users.count), String(group), String(groups.start), String(groups.count)]
        var words = (["sh", "-c", script, "sh"] + numbers).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, "/bin/sh", &actions, nil, &words, environ)
        close(ends[0])
        self.pid = pid
        guard code == 0 else {
            close(start)
            return nil
        }
    }

    /// - Returns: whether the namespace has its users.
    func run() -> Bool {
        let told = write(start, "\n", 1) == 1
        close(start)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return told && status == 0
    }
}

/// No user namespace can be had.
public enum UserNamespaceError: DiagnosedError, Equatable {
    case forbidden(code: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .forbidden(let code):
            Diagnosis(
                "can't make a user namespace, in which anyone but root could run pods: \(errorText(code))",
                hint: "let everyone have them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or run the command with sudo")
        }
    }
}
