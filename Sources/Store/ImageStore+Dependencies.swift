import AppC
import Digest

/// An image among those that it is built on, as a renderer takes them.
public struct ChainLink: Sendable {
    public let image: StoredImage
    /// How many links, this one first, are the image and what it is built on: a whitelist holds for those.
    public fileprivate(set) var span: Int
}

extension ImageStore {
    /// Images that are built on more others than this, all counted as often as they are named, are refused.
    private static let chainLimit = 512

    /// An image and all that it is built on, each before what it stands on: what comes earlier hides what comes later (appc spec
    /// `aci.md#dependency-matching`).
    /// - Throws: ``StoreError/missingDependency(_:of:)``, ``StoreError/dependencyLoop(_:)``
    public func chain(of image: StoredImage) throws -> [ChainLink] {
        var links: [ChainLink] = []
        func visit(_ image: StoredImage, below: [ImageID]) throws {
            guard !below.contains(image.id) else { throw StoreError.dependencyLoop(image.record.displayName) }
            guard links.count < Self.chainLimit else { throw StoreError.tooManyDependencies(image.record.displayName, limit: Self.chainLimit) }
            let index = links.count
            links.append(ChainLink(image: image, span: 1))
            // What is listed last is on top.
            for dependency in (image.manifest.dependencies ?? []).reversed() {
                guard let id = try resolve(dependency) else { throw StoreError.missingDependency(dependency, of: image.record.displayName) }
                try visit(open(id), below: below + [image.id])
            }
            links[index].span = links.count - index
        }
        try visit(image, below: [])
        return links
    }

    /// The image of the store that a dependency names; nil where there is none.
    public func resolve(_ dependency: Dependency) throws -> ImageID? {
        guard let text = dependency.imageID else { return try resolve(name: dependency.imageName, labels: dependency.labels ?? []) }
        // rkt's builders wrote the first half of the hash.
        guard let prefix = ImageIDPrefix(text), prefix.hex.utf8.count >= 64 else { throw StoreError.noSuchImage(text) }
        let id: ImageID
        do { id = try resolve(prefix) } catch StoreError.noSuchImage { return nil }
        let record = try record(id)
        return record.name == dependency.imageName && record.has(dependency.labels ?? []) ? id : nil
    }
}
