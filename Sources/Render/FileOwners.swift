import Files

/// Who can own files here: everybody, or in a user namespace those whom it has (user_namespaces(7)).
public struct FileOwners: Sendable {
    private let users: [Range<Int64>]
    private let groups: [Range<Int64>]

    /// - Parameter maps: `/proc/self/uid_map` and `gid_map`.
    init(users: String, groups: String) {
        func ranges(_ map: String) -> [Range<Int64>] {
            map.split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ").compactMap { Int64($0) }
                return fields.count == 3 ? fields[0]..<fields[0] + fields[2] : nil
            }
        }
        (self.users, self.groups) = (ranges(users), ranges(groups))
    }

    /// This process's. To be called while it still sees `/proc`.
    public static func current() -> Self {
        func map(_ name: String) -> String {
            (try? OpenFile.open("/proc/self/\(name)").readAll(limit: 1 << 16)).map { String(decoding: $0, as: UTF8.self) } ?? "0 0 4294967295"
        }
        return Self(users: map("uid_map"), groups: map("gid_map"))
    }

    /// Whether devices can be made: the kernel lets no user namespace do so.
    var makeDevices: Bool { users == [0..<4_294_967_295] }

    /// Who is to own what is an image's user's and group's: where there is root alone, root.
    /// - Returns: nil where one of them isn't there.
    func owner(_ user: Int64, _ group: Int64) -> (user: Int64, group: Int64)? {
        let owner = users == [0..<1] ? (0, 0) : (user, group)
        guard users.contains(where: { $0.contains(owner.0) }), groups.contains(where: { $0.contains(owner.1) }) else { return nil }
        return owner
    }
}
