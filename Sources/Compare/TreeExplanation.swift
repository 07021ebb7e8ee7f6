import Listing

/// Tells by which rule a tree that another tool made of an image differs from ours.
public struct TreeExplanation {
    public enum Tool: Sendable { case engine, umoci }

    /// Who made the left tree.
    public var tool = Tool.engine
    /// What the layers have that tools disagree on; nil before anybody looked.
    public var facts: LayerFacts?
    private let workingDirectory: [UInt8]?
    private let begin: Int64

    /// - Parameters:
    ///   - workingDirectory: where the app is to start, absolute.
    ///   - begin: when the comparison began, in seconds since 1970: what is younger was made by the tool.
    public init(workingDirectory: String?, begin: Int64) {
        let components = workingDirectory?.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
        self.workingDirectory = components.map { Array($0.joined(separator: [UInt8(ascii: "/")])) }
        self.begin = begin
    }

    /// - Returns: nil where the trees simply aren't the same.
    public func rule(_ left: ListedEntry?, _ right: ListedEntry?, _ field: TreeComparison.Field) -> String? {
        if let left, let right { return both(left, right, field) }
        if let left { return onlyTheirs(left) }
        return right.flatMap(onlyOurs)
    }

    private static let mountPoints: Set<[UInt8]> = Set(
        [
            ".dockerenv", "dev", "dev/console", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "proc", "sys", "run",
            "run/.containerenv",
        ]
        .map { Array($0.utf8) })
    private static let links: Set<[UInt8]> = Set(["dev", "dev/stdin", "dev/stdout", "dev/stderr", "dev/fd"].map { Array($0.utf8) })

    private func onlyTheirs(_ entry: ListedEntry) -> String? {
        if tool == .engine, Self.mountPoints.contains(entry.path) { return "engine-mount-points" }
        let path = escaped(entry.path)
        if facts?.bookkeeping.contains(where: { Self.is($0, atOrBelow: path) }) == true { return "aufs-bookkeeping" }
        if let rule = linkRule(path) { return rule }
        if entry.kind == .directory, isPlain(entry), holdsHidden(path) { return "whiteout-in-missing-directory" }
        return facts?.hidden.contains { Self.is(path, atOrBelow: $0) } == true ? "whiteout-then-new-directory" : nil
    }

    // MARK: Layers

    private static func `is`(_ path: String, atOrBelow directory: String) -> Bool {
        path == directory || (path.hasPrefix(directory) && path.utf8.dropFirst(directory.utf8.count).first == UInt8(ascii: "/"))
    }

    /// A link where a layer has a directory.
    private func linkRule(_ path: String) -> String? {
        if facts?.ownLinks.contains(where: { Self.is(path, atOrBelow: $0) }) == true { return "own-link-as-parent" }
        return facts?.lowerLinks.contains { Self.is(path, atOrBelow: $0) } == true ? "lower-link-as-parent" : nil
    }

    /// Whether a whiteout stands in a directory.
    private func holdsHidden(_ directory: String) -> Bool { facts?.hidden.contains { $0 != directory && Self.is($0, atOrBelow: directory) } == true }

    private func onlyOurs(_ entry: ListedEntry) -> String? {
        if Self.links.contains(entry.path) { return "console-links" }
        if let workingDirectory, entry.kind == .directory, entry.path == workingDirectory || ListedEntry.isBelow(workingDirectory, entry.path) {
            return "working-directory-made"
        }
        return linkRule(escaped(entry.path))
    }

    private func both(_ left: ListedEntry, _ right: ListedEntry, _ field: TreeComparison.Field) -> String? {
        if field == .attribute, tool == .engine {
            return left.attributes.allSatisfy { right.attributes.contains($0) } && onlyUsers(right, beyond: left) ? "export-attributes" : nil
        }
        if field == .time, left.nanoseconds == 0, left.seconds == right.seconds, tool == .engine { return "export-seconds" }
        if field == .time, right.seconds < 0, left.seconds == 0 { return "times" }
        let path = escaped(left.path)
        if let rule = linkRule(path), field == .kind || left.kind == .symbolicLink { return rule }
        if field == .kind, left.kind == .directory, holdsHidden(path) { return "whiteout-below-file" }
        guard left.kind == .directory, [.time, .mode, .owner].contains(field), (left.seconds, left.nanoseconds) != (right.seconds, right.nanoseconds) else {
            return nil
        }
        let sameRights = left.mode == right.mode && left.uid == right.uid && left.gid == right.gid
        if sameRights, field == .time {
            if Self.mountPoints.contains(left.path) { return "made-meanwhile" }
            if right.seconds == 0, right.nanoseconds == 0 { return isWorkingDirectory(left) ? "working-directory-made" : "unnamed-parent" }
            if left.seconds >= begin { return "made-meanwhile" }
            return isPlain(left) && left.seconds > right.seconds ? anew(path) : nil
        }
        return isPlain(left) ? anew(path) : nil
    }

    /// Why a tool made a directory anew.
    private func anew(_ path: String) -> String { holdsHidden(path) ? "whiteout-without-its-directory" : "unnamed-parent-of-lower" }

    private func isPlain(_ entry: ListedEntry) -> Bool { entry.mode == 0o755 && entry.uid == 0 && entry.gid == 0 }

    private func isWorkingDirectory(_ entry: ListedEntry) -> Bool {
        workingDirectory.map { $0 == entry.path || ListedEntry.isBelow($0, entry.path) } ?? false
    }

    private func onlyUsers(_ right: ListedEntry, beyond left: ListedEntry) -> Bool {
        right.attributes.allSatisfy { left.attributes.contains($0) || $0.name.starts(with: "user.".utf8) }
    }
}
