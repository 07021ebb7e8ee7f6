/// Which of the two protocols of registries is spoken.
public enum RegistryVersion: String, Sendable, CaseIterable {
    case v1, v2
    /// The second; where a registry doesn't speak it, or hasn't the image there, the first.
    case auto
}
