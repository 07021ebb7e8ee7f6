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

/// What holds processes to limits. The versions have different names for it.
private enum Controller: CaseIterable {
    case memory, processors, blockDevices

    var version1: String {
        switch self {
        case .memory: "memory"
        case .processors: "cpu"
        case .blockDevices: "blkio"
        }
    }

    var version2: String { self == .blockDevices ? "io" : version1 }

    static func all(of limits: ResourceLimits) -> [Controller] { allCases.filter { !$0.isolators(of: limits).isEmpty } }

    /// The isolators that it enforces.
    func isolators(of limits: ResourceLimits) -> [String] {
        switch self {
        case .memory: limits.memory != nil ? ["resource/memory"] : []
        case .processors: limits.processors != nil || limits.shares != nil ? ["resource/cpu"] : []
        case .blockDevices:
            (limits.blockBandwidth != nil ? ["resource/block-bandwidth"] : []) + (limits.blockOperations != nil ? ["resource/block-iops"] : [])
        }
    }
}

/// A disk, or what looks like one: not a part of it.
public struct BlockDevice: Sendable, Equatable, CustomStringConvertible {
    public var major: Int
    public var minor: Int

    /// - Parameter text: `8:0`
    public init?(_ text: String) {
        let numbers = text.split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 2 else { return nil }
        (major, minor) = (numbers[0], numbers[1])
    }

    public var description: String { "\(major):\(minor)" }

    /// The machine's, in the order of their names.
    public static func all() -> [BlockDevice] {
        let names = (try? Directory.open("/sys/block").names()) ?? []
        return names.sorted().compactMap { name in
            let number = try? OpenFile.open("/sys/block/\(name)/dev").readAll(limit: 64)
            return number.flatMap { BlockDevice(String(decoding: $0, as: UTF8.self).filter { !$0.isWhitespace }) }
        }
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
        let wanted = Controller.all(of: limits)
        for controller in wanted {
            guard let parent = layout.version1[controller.version1] else { continue }
            let group = "\(parent)/\(name)"
            guard make(group) else {
                report(controller, limits, of: "the pod")
                continue
            }
            try apply(limits, controller, version: 1, in: group)
            joined.append(try Self.entrance(of: group, version: 1))
        }
        if let devices, let parent = layout.version1["devices"], case let group = "\(parent)/\(name)", make(group) {
            try allow(devices, in: group)
            joined.append(try Self.entrance(of: group, version: 1))
        }
        let rest = wanted.filter { layout.version1[$0.version1] == nil }
        guard !rest.isEmpty || appsHaveLimits && layout.version1["memory"] == nil else { return }
        guard let group = makeVersion2() else { return rest.forEach { report($0, limits, of: "the pod") } }
        for controller in rest {
            if layout.version2Controllers.contains(controller.version2) {
                try apply(limits, controller, version: 2, in: group)
            } else {
                report(controller, limits, of: "the pod")
            }
        }
        // Processes may be in leaves only: process 1 gets one of its own, beside the apps'.
        let leaf = group + "/init"
        if make(leaf) { joined.append(try Self.entrance(of: leaf, version: 2)) }
    }

    /// Makes an app's own groups.
    /// - Returns: their files, by which the app joins them.
    public mutating func makeApp(_ app: String, _ limits: ResourceLimits) throws(IsolationError) -> [OpenFile] {
        var joined: [OpenFile] = []
        for controller in Controller.all(of: limits) {
            if let parent = layout.version1[controller.version1] {
                let (pod, group) = ("\(parent)/\(name)", "\(parent)/\(name)/app-\(app)")
                guard directories.contains(pod) || make(pod), make(group) else {
                    report(controller, limits, of: "the app \(app)")
                    continue
                }
                try apply(limits, controller, version: 1, in: group)
                joined.append(try Self.entrance(of: group, version: 1))
            } else if let pod = makeVersion2(), layout.version2Controllers.contains(controller.version2) {
                let group = "\(pod)/app-\(app)"
                if !directories.contains(group) {
                    guard make(group) else {
                        report(controller, limits, of: "the app \(app)")
                        continue
                    }
                    joined.append(try Self.entrance(of: group, version: 2))
                }
                try apply(limits, controller, version: 2, in: group)
            } else {
                report(controller, limits, of: "the app \(app)")
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
        for controller in Controller.all(of: limits)
        where layout.version1[controller.version1] == nil && !layout.version2Controllers.contains(controller.version2) {
            report(controller, limits, of: "the app \(app)")
            switch controller {
            case .memory: possible.memory = nil
            case .processors: (possible.processors, possible.shares) = (nil, nil)
            case .blockDevices: (possible.blockBandwidth, possible.blockOperations) = (nil, nil)
            }
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

    /// The files by which one more process joins an app: its groups, and the pod's in hierarchies where it has none.
    /// - Parameter directories: those of the pod, as they were made.
    /// - Throws: ``IsolationError``
    public static func entrances(to app: String, among directories: [String]) throws(IsolationError) -> [OpenFile] {
        var files: [OpenFile] = []
        for pod in directories where !directories.contains(where: { pod.hasPrefix($0 + "/") }) {
            let groups = ["\(pod)/app-\(app)", "\(pod)/init", pod].filter { directories.contains($0) && access($0, F_OK) == 0 }
            guard let group = groups.first else { continue }
            files.append(try entrance(of: group, version: access("\(group)/tasks", F_OK) == 0 ? 1 : 2))
        }
        return files
    }

    // MARK: Making

    private mutating func report(_ controller: Controller, _ limits: ResourceLimits, of whom: String) {
        let parent = layout.version1[controller.version1] ?? (layout.version2Controllers.contains(controller.version2) ? layout.version2 : nil)
        let reason = parent.map { "no control group can be made in \($0)" } ?? "there is no controller \(controller.version2)"
        for isolator in controller.isolators(of: limits) { unenforced.append("\(isolator) of \(whom) (\(reason))") }
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
        let controllers = Controller.allCases.map(\.version2).filter(layout.version2Controllers.contains)
        guard !controllers.isEmpty else { return nil }
        let passed = controllers.map { "+" + $0 }.joined(separator: " ")
        guard Self.write(passed, "\(parent)/cgroup.subtree_control") == 0, make(group), Self.write(passed, "\(group)/cgroup.subtree_control") == 0 else {
            return nil
        }
        return group
    }

    private func apply(_ limits: ResourceLimits, _ controller: Controller, version: Int, in group: String) throws(IsolationError) {
        var values: [(String, String)] = []
        switch controller {
        case .memory: if let memory = limits.memory { values.append((version == 1 ? "memory.limit_in_bytes" : "memory.max", String(memory))) }
        case .processors:
            if let (used, period) = limits.quota {
                values += version == 1 ? [("cpu.cfs_period_us", String(period)), ("cpu.cfs_quota_us", String(used))] : [("cpu.max", "\(used) \(period)")]
            }
            if let shares = limits.shares, let weight = limits.weight {
                values.append(version == 1 ? ("cpu.shares", String(shares)) : ("cpu.weight", String(weight)))
            }
        case .blockDevices: return try applyToBlockDevices(limits, version, in: group)
        }
        for (file, value) in values { try set(value, file, in: group) }
    }

    /// The spec's limits are for each block device, in each direction.
    private func applyToBlockDevices(_ limits: ResourceLimits, _ version: Int, in group: String) throws(IsolationError) {
        let amounts = [("bps", limits.blockBandwidth), ("iops", limits.blockOperations)].compactMap { name, limit in limit.map { (name, String($0)) } }
        for device in BlockDevice.all() {
            let values =
                version == 1
                ? amounts.flatMap { name, limit in ["read", "write"].map { ("blkio.throttle.\($0)_\(name)_device", "\(device) \(limit)") } }
                : [("io.max", "\(device) " + amounts.flatMap { name, limit in ["r\(name)=\(limit)", "w\(name)=\(limit)"] }.joined(separator: " "))]
            for (file, value) in values {
                let code = Self.write(value, "\(group)/\(file)")
                // It has gone since, or is of a kind that the kernel holds to no limit, which files on it have others for.
                guard [0, ENODEV, ENXIO, EOPNOTSUPP].contains(code) else { throw .controlGroup(path: group, what: "set \(file) of", code: code) }
            }
        }
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
    private static func entrance(of group: String, version: Int) throws(IsolationError) -> OpenFile {
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
