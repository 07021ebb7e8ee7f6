/// What became of a field of the Docker configuration that appc has no equal for.
public struct ConversionNote: Sendable, Hashable, Codable {
    public enum Outcome: String, Sendable, Codable {
        /// Kept as an annotation, which only d2a reads.
        case annotation
        /// Kept in another form.
        case changed
        /// In no form in the ACI.
        case dropped
    }

    public var outcome: Outcome
    /// As Docker spells it: `Healthcheck`, `Env[3]`.
    public var field: String
    public var detail: String
}
