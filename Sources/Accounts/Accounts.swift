/// A line of an image's own `/etc/passwd` (passwd(5)).
public struct UserEntry: Sendable, Equatable {
    public var name: String
    public var user: UInt32
    public var group: UInt32
    public var home: String
    public var shell: String

    /// The entry of a user given by name or number; a name beats a number, as in Docker and the appc spec.
    public static func find(_ wanted: String, in file: [UInt8]) -> UserEntry? {
        var byNumber: UserEntry?
        for fields in lines(of: file) where fields.count >= 4 {
            guard let user = UInt32(fields[2]), let group = UInt32(fields[3]) else { continue }
            let entry = UserEntry(name: fields[0], user: user, group: group, home: fields.count > 5 ? fields[5] : "", shell: fields.count > 6 ? fields[6] : "")
            if fields[0] == wanted { return entry }
            if byNumber == nil, fields[2] == wanted { byNumber = entry }
        }
        return byNumber
    }
}

/// A line of an image's own `/etc/group` (group(5)).
public struct GroupEntry: Sendable, Equatable {
    public var name: String
    public var group: UInt32
    public var members: [String]

    public static func find(_ wanted: String, in file: [UInt8]) -> GroupEntry? {
        let entries = all(in: file)
        return entries.first { $0.name == wanted } ?? entries.first { String($0.group) == wanted }
    }

    /// All groups that list a user as a member, in the file's order.
    public static func of(member: String, in file: [UInt8]) -> [GroupEntry] { all(in: file).filter { $0.members.contains(member) } }

    private static func all(in file: [UInt8]) -> [GroupEntry] {
        lines(of: file).compactMap { fields in
            guard fields.count >= 3, let group = UInt32(fields[2]) else { return nil }
            return GroupEntry(name: fields[0], group: group, members: fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : [])
        }
    }
}

private func lines(of file: [UInt8]) -> [[String]] {
    file.split(separator: UInt8(ascii: "\n")).map { line in
        line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}
