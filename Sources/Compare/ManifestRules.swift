extension RuleTable {
    static let manifest: [Rule] = []
}
