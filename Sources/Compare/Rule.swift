/// One of the things that are compared.
public enum PartName: String, Sendable, Codable, CaseIterable {
    case manifest, filesystem, process
}

/// Why two sides differ: what each of them does. The program and docs/docker-vs-rocket.md share these.
public struct Rule: Sendable, Hashable {
    /// Lower case, with dashes; never given to another rule.
    public var id: String
    public var part: PartName
    /// What differs, in a few words.
    public var title: String
    /// What Docker, or the left side, does.
    public var docker: String
    /// Who does that.
    public var engine: String { id.hasPrefix("podman-") ? "podman" : "Docker" }
    /// What d2a, with rocket's rules, or the right side, does.
    public var rocket: String
    /// Whether software inside or people outside can tell the difference.
    public var matters: Bool

    public init(_ id: String, _ part: PartName, _ title: String, docker: String, rocket: String, matters: Bool) {
        (self.id, self.part, self.title, self.docker, self.rocket, self.matters) = (id, part, title, docker, rocket, matters)
    }
}

/// All rules, by part.
public enum RuleTable {
    public static let all: [Rule] = manifest + filesystem + process

    private static let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })

    public static func rule(_ id: String) -> Rule? { byID[id] }
}
