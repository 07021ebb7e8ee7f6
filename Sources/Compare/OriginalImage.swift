/// An image as its source has it, before anything is converted: what the process that reads it reports.
public struct OriginalImage: Sendable, Codable {
    public struct Layer: Sendable, Codable {
        public var name: String
        /// Bytes as served; nil where unknown.
        public var size: Int?

        public init(name: String, size: Int?) { (self.name, self.size) = (name, size) }
    }

    /// What the conversion says of a field.
    public struct Note: Sendable, Codable {
        /// `annotation`, `changed`, `dropped`
        public var outcome: String
        public var field: String
        public var detail: String

        public init(outcome: String, field: String, detail: String) { (self.outcome, self.field, self.detail) = (outcome, field, detail) }
    }

    /// What Docker calls the image.
    public var id: String
    /// The configuration as it is.
    public var config: String
    /// Base first.
    public var layers: [Layer]
    public var notes: [Note]
    /// The manifest that the configuration is converted to.
    public var manifest: String
    /// Whether the image's own passwd file has a user without a group; nil where nobody had to look.
    public var knowsUser: Bool?
    /// nil where nobody asked.
    public var facts: LayerFacts?

    public init(id: String, config: String, layers: [Layer], notes: [Note], manifest: String, knowsUser: Bool?) {
        (self.id, self.config, self.layers) = (id, config, layers)
        (self.notes, self.manifest, self.knowsUser) = (notes, manifest, knowsUser)
    }
}

/// What in an image's layers tools disagree on. Paths are escaped.
public struct LayerFacts: Sendable, Codable {
    /// What whiteouts hide.
    public var hidden: Set<String> = []
    /// AUFS' own names.
    public var bookkeeping: Set<String> = []
    /// Symbolic links that stand where a layer has a directory, and where they lead: links of the layer itself, and of lower ones.
    public var ownLinks: Set<String> = []
    public var lowerLinks: Set<String> = []

    public init() {}
}

/// What the process that spoke to an engine says.
public struct EngineReport: Sendable, Codable {
    /// `20.10.24`
    public var version: String?
    /// Nobody answers where the engine should be.
    public var isUnreachable = false
    /// Why the engine did not show the tree.
    public var problem: String?

    public init() {}
}
