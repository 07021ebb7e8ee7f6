extension RuleTable {
    static let process: [Rule] = []
}
