/// The image's own `/etc/passwd`.
enum Passwd {
    /// Primary group id of a user given by name or number; nil where no line names it.
    static func primaryGroup(of user: String, in file: [UInt8]) -> String? {
        let wanted = Array(user.utf8)
        var byNumber: String?
        for line in file.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            guard fields.count >= 4, let group = UInt32(String(decoding: fields[3], as: UTF8.self)) else { continue }
            // A name beats a number, as in Docker.
            if fields[0].elementsEqual(wanted) { return String(group) }
            if byNumber == nil, fields[2].elementsEqual(wanted) { byNumber = String(group) }
        }
        return byNumber
    }
}
