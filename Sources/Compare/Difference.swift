/// One thing that isn't the same on both sides. All texts of it are escaped (``escaped(_:)-1s5vw``): they can be shown anywhere.
public struct Difference: Sendable, Hashable, Codable {
    public var part: PartName
    /// What differs: a path, a field, a variable.
    public var subject: String
    /// What of it: `mode`, `size`; empty where the subject says all.
    public var field: String
    /// nil where that side has nothing.
    public var left: String?
    public var right: String?
    /// The ``Rule`` that explains it.
    public var rule: String
    public var matters: Bool

    /// - Parameters:
    ///   - subject: as it is: it is escaped here, as both values are.
    ///   - matters: what the rule says, where nil.
    public init(
        _ rule: String, subject: some Sequence<UInt8>, field: String = "", left: (some Sequence<UInt8>)?, right: (some Sequence<UInt8>)?, matters: Bool? = nil
    ) {
        guard let known = RuleTable.rule(rule) else { preconditionFailure("there is no rule \(rule)") }
        part = known.part
        self.subject = escaped(subject)
        self.field = field
        self.left = left.map { escaped($0) }
        self.right = right.map { escaped($0) }
        self.rule = rule
        self.matters = matters ?? known.matters
    }

    public init(_ rule: String, subject: String, field: String = "", left: String?, right: String?, matters: Bool? = nil) {
        self.init(rule, subject: subject.utf8, field: field, left: left?.utf8, right: right?.utf8, matters: matters)
    }
}
