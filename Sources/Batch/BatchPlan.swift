import Credentials

/// What the process that converts is handed: the list, which of it is to be done, and how the registries let us in.
public struct BatchPlan: Sendable, Codable {
    public var items: [BatchItem]
    /// Indices of those to be converted, in this order.
    public var chosen: [Int]
    /// By the indices of items.
    public var access: [Int: RegistryAccess]
    /// IDs of images in the store that records speak of: those need no file.
    public var stored: Set<String> = []

    public init(items: [BatchItem], chosen: [Int], access: [Int: RegistryAccess]) { (self.items, self.chosen, self.access) = (items, chosen, access) }
}
