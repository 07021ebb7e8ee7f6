import Files
import Glibc
import Pod

/// How control groups are mounted on this machine: version 1, version 2, or both beside each other; and where this process is in them.
public struct ControlGroupLayout: Sendable, Equatable {
    /// Directories by controller in which groups of version 1 can be made: this process's own.
    public var version1: [String: String] = [:]
    /// The directory of version 2 in which groups can be made, and the controllers that groups in it could have.
    public var version2: String?
    public var version2Controllers: Set<String> = []
    /// Where each hierarchy is mounted, of both versions.
    public var hierarchies: Set<String> = []
    /// This process's own group in the hierarchies that limit, below where they are mounted; empty at the top.
    public var base = ""

    /// - Parameters:
    ///   - mounts: `/proc/self/mountinfo`
    ///   - groups: `/proc/self/cgroup`
    ///   - isRoot: root makes its groups of version 2 at the top, since a group with processes can't have groups with limits in it.
    ///   - controllers: what `cgroup.controllers` of a directory says.
    public init(mounts: String, groups: String, isRoot: Bool, controllers: (String) -> String) {
        var own: [String: String] = [:]
        for line in groups.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            for controller in parts[1].split(separator: ",", omittingEmptySubsequences: false) { own[String(controller)] = String(parts[2]) }
        }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 3 < fields.count, dash > 4 else { continue }
            let (root, point) = (String(fields[3]), Self.unescaped(fields[4]))
            switch fields[dash + 1] {
            case "cgroup":
                for controller in fields[dash + 3].split(separator: ",").map(String.init) where version1[controller] == nil {
                    guard let path = own[controller] else { continue }
                    version1[controller] = Self.directory(path, mountedFrom: root, at: point)
                    hierarchies.insert(point)
                    if controller == "memory" { base = String(version1[controller]!.dropFirst(point.count)) }
                }
            case "cgroup2" where version2 == nil:
                guard let path = own[""] else { continue }
                let directory = isRoot ? point : Self.directory(path, mountedFrom: root, at: point)
                version2 = directory
                hierarchies.insert(point)
                if version1.isEmpty { base = String(directory.dropFirst(point.count)) }
                version2Controllers = Set(controllers(directory).split(whereSeparator: \.isWhitespace).map(String.init))
            default: break
            }
        }
    }

    /// This machine's.
    /// - Parameter isRoot: whether this is root of the machine.
    public static func current(isRoot: Bool) -> Self {
        func text(_ path: String) -> String { (try? OpenFile.open(path).readAll(limit: 4 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? "" }
        return Self(mounts: text("/proc/self/mountinfo"), groups: text("/proc/self/cgroup"), isRoot: isRoot) { text($0 + "/cgroup.controllers") }
    }

    /// Where a group lies in the file system, of whose hierarchy a part may be mounted.
    private static func directory(_ path: String, mountedFrom root: String, at point: String) -> String {
        if root == "/" { return path == "/" ? point : point + path }
        if path == root || !path.hasPrefix(root + "/") { return point }
        return point + path.dropFirst(root.utf8.count)
    }

    private static func unescaped(_ field: Substring) -> String {
        var result: [UInt8] = []
        var bytes = Array(field.utf8)[...]
        while let byte = bytes.popFirst() {
            if byte == UInt8(ascii: "\\"), bytes.count >= 3, let code = UInt8(String(decoding: bytes.prefix(3), as: UTF8.self), radix: 8) {
                result.append(code)
                bytes = bytes.dropFirst(3)
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// The control groups of one pod: one for it, and one in it for every app with limits. Those that are made are what can be removed
/// by ``remove(_:)``, by whoever finds the list.
public struct PodControlGroups {
    private let layout: ControlGroupLayout
    private let name: String
    private let note: (String) throws -> Void
    /// All directories that were made, each before those in it.
    public private(set) var directories: [String] = []
    /// What could not be enforced, in the words of isolators.
    public private(set) var unenforced: [String] = []
    /// The file of each group by which the pod's process 1 joins it.
    public private(set) var joined: [OpenFile] = []

    /// - Parameters:
    ///   - uuid: the pod's.
    ///   - note: keeps the path of a directory that is about to be made, so that whoever finds it can remove it.
    public init(_ layout: ControlGroupLayout, uuid: String, note: @escaping (String) throws -> Void) {
        (self.layout, name, self.note) = (layout, "d2a-\(uuid)", note)
    }

    /// Makes the pod's own groups.
    /// - Parameter devices: numbers of devices that apps may use besides the usual ones, such as `c 10:200 rwm`; nil for no rule.
    public mutating func makePod(_ limits: ResourceLimits, appsHaveLimits: Bool, devices: [String]?) throws(IsolationError) {
        let wanted = Self.controllers(limits)
        for controller in ["cpu", "memory", "devices"] {
            guard wanted.contains(controller) || controller == "devices" && devices != nil, let parent = layout.version1[controller] else { continue }
            let group = "\(parent)/\(name)"
            guard make(group) else {
                if wanted.contains(controller) { report(controller, of: "the pod") }
                continue
            }
            if controller == "devices" { try allow(devices ?? [], in: group) } else { try apply(limits, controller, version: 1, in: group) }
            joined.append(try entrance(of: group, version: 1))
        }
        let rest = wanted.filter { layout.version1[$0] == nil }
        guard !rest.isEmpty || appsHaveLimits && layout.version1["memory"] == nil else { return }
        guard let group = makeVersion2() else { return rest.forEach { report($0, of: "the pod") } }
        for controller in rest {
            if layout.version2Controllers.contains(controller) {
                try apply(limits, controller, version: 2, in: group)
            } else {
                report(controller, of: "the pod")
            }
        }
        // Processes may be in leaves only: process 1 gets one of its own, beside the apps'.
        let leaf = group + "/init"
        if make(leaf) { joined.append(try entrance(of: leaf, version: 2)) }
    }

    /// Makes an app's own groups.
    /// - Returns: their files, by which the app joins them.
    public mutating func makeApp(_ app: String, _ limits: ResourceLimits) throws(IsolationError) -> [OpenFile] {
        var joined: [OpenFile] = []
        for controller in Self.controllers(limits) {
            if let parent = layout.version1[controller] {
                let (pod, group) = ("\(parent)/\(name)", "\(parent)/\(name)/app-\(app)")
                guard directories.contains(pod) || make(pod), make(group) else {
                    report(controller, of: "the app \(app)")
                    continue
                }
                try apply(limits, controller, version: 1, in: group)
                joined.append(try entrance(of: group, version: 1))
            } else if let pod = makeVersion2(), layout.version2Controllers.contains(controller) {
                let group = "\(pod)/app-\(app)"
                if !directories.contains(group) {
                    guard make(group) else {
                        report(controller, of: "the app \(app)")
                        continue
                    }
                    joined.append(try entrance(of: group, version: 2))
                }
                try apply(limits, controller, version: 2, in: group)
            } else {
                report(controller, of: "the app \(app)")
            }
        }
        return joined
    }

    /// Leaves an app's group to an OCI runtime, which makes it in every hierarchy, inside the pod's; it goes with the pod's own.
    /// - Returns: its path below where the hierarchies are mounted, and those of the limits that the runtime can set here.
    public mutating func leave(_ app: String, _ limits: ResourceLimits) throws(IsolationError) -> (path: String, limits: ResourceLimits) {
        let pod = "\(layout.base)/\(name)"
        for path in [pod, "\(pod)/app-\(app)"] {
            for hierarchy in layout.hierarchies.sorted() where !directories.contains(hierarchy + path) {
                do { try note(hierarchy + path) } catch { throw .controlGroup(path: hierarchy + path, what: "note", code: EIO) }
                directories.append(hierarchy + path)
            }
        }
        var possible = limits
        for controller in Self.controllers(limits) where layout.version1[controller] == nil && !layout.version2Controllers.contains(controller) {
            report(controller, of: "the app \(app)")
            if controller == "memory" { possible.memory = nil } else { (possible.processors, possible.shares) = (nil, nil) }
        }
        return ("\(pod)/app-\(app)", possible)
    }

    /// Removes groups, the inner ones first. Processes that were just killed get two seconds to be gone; what still has some then stays.
    /// - Returns: those that are still there.
    @discardableResult
    public static func remove(_ directories: [String]) -> [String] {
        var patience = 400
        for directory in directories.reversed() {
            while rmdir(directory) != 0, errno == EBUSY, patience > 0 {
                usleep(5000)
                patience -= 1
            }
        }
        return directories.filter { access($0, F_OK) == 0 }
    }

    // MARK: Making

    private static func controllers(_ limits: ResourceLimits) -> [String] {
        (limits.memory != nil ? ["memory"] : []) + (limits.processors != nil || limits.shares != nil ? ["cpu"] : [])
    }

    private mutating func report(_ controller: String, of whom: String) {
        let parent = layout.version1[controller] ?? (layout.version2Controllers.contains(controller) ? layout.version2 : nil)
        let reason = parent.map { "no control group can be made in \($0)" } ?? "there is no controller \(controller)"
        unenforced.append("\(controller == "cpu" ? "resource/cpu" : "resource/memory") of \(whom) (\(reason))")
    }

    private mutating func make(_ directory: String) -> Bool {
        guard (try? note(directory)) != nil, mkdir(directory, 0o755) == 0 else { return false }
        directories.append(directory)
        return true
    }

    /// The pod's group of version 2, whose controllers are passed on to the groups in it.
    private mutating func makeVersion2() -> String? {
        guard let parent = layout.version2 else { return nil }
        let group = "\(parent)/\(name)"
        if directories.contains(group) { return group }
        let controllers = ["cpu", "memory"].filter(layout.version2Controllers.contains)
        guard !controllers.isEmpty else { return nil }
        let passed = controllers.map { "+" + $0 }.joined(separator: " ")
        guard Self.write(passed, "\(parent)/cgroup.subtree_control") == 0, make(group), Self.write(passed, "\(group)/cgroup.subtree_control") == 0 else {
            return nil
        }
        return group
    }

    private func apply(_ limits: ResourceLimits, _ controller: String, version: Int, in group: String) throws(IsolationError) {
        var values: [(String, String)] = []
        if controller == "memory", let memory = limits.memory { values.append((version == 1 ? "memory.limit_in_bytes" : "memory.max", String(memory))) }
        if controller == "cpu" {
            if let (used, period) = limits.quota {
                values += version == 1 ? [("cpu.cfs_period_us", String(period)), ("cpu.cfs_quota_us", String(used))] : [("cpu.max", "\(used) \(period)")]
            }
            if let shares = limits.shares, let weight = limits.weight {
                values.append(version == 1 ? ("cpu.shares", String(shares)) : ("cpu.weight", String(weight)))
            }
        }
        for (file, value) in values { try set(value, file, in: group) }
    }

    /// Forbids all devices but those that every app has (appc spec `OS-SPEC.md`), terminals and what is asked for. Making any is
    /// allowed, since using it isn't.
    private func allow(_ devices: [String], in group: String) throws(IsolationError) {
        try set("a", "devices.deny", in: group)
        let usual = [
            "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
        ]
        for device in usual + devices { try set(device, "devices.allow", in: group) }
    }

    private func set(_ value: String, _ file: String, in group: String) throws(IsolationError) {
        let code = Self.write(value, "\(group)/\(file)")
        guard code == 0 else { throw .controlGroup(path: group, what: "set \(file) of", code: code) }
    }

    /// The file by which a process with one thread joins a group. On version 1 that is the one for threads: where a thread moves itself,
    /// the kernel needn't wait for all forks and exits of the machine, which takes milliseconds.
    private func entrance(of group: String, version: Int) throws(IsolationError) -> OpenFile {
        do { return try OpenFile.open("\(group)/\(version == 1 ? "tasks" : "cgroup.procs")", O_WRONLY) } catch {
            throw .controlGroup(path: group, what: "open", code: error.code)
        }
    }

    /// In one write, as these files want it.
    /// - Returns: an error's number, or 0.
    private static func write(_ value: String, _ path: String) -> Int32 {
        do {
            try OpenFile.open(path, O_WRONLY).write(value)
            return 0
        } catch { return error.code }
    }
}
