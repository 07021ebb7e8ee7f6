import AppC
import Files
import Stage1
import Store

extension ImageStore {
    /// The rendered tree of an image and those that it is built on, made where it isn't there yet. It stays as long as somebody has
    /// the result, or its ``RenderedTree/lock``.
    func tree(of image: StoredImage) throws -> RenderedTree {
        let chain = try chain(of: image)
        return try tree(chain.map(\.image.id)) { try Helper.render(chain, into: $0) }
    }

    /// Where there are trees, becomes who may read and remove them: for anyone but root they hold files of users that exist in a namespace
    /// only. To be called before there are other threads.
    func enterTrees() throws {
        if let trees = try? root.directory("cas/tree"), try !trees.names().isEmpty { try UserNamespace.enter() }
    }

    /// Fills an empty directory with a copy of an image's `rootfs`.
    func render(_ image: StoredImage, into directory: Directory) throws { try Helper.render(chain(of: image), into: directory) }
}

extension Helper {
    fileprivate static func render(_ chain: [ChainLink], into directory: Directory) throws {
        let descriptors: [any DescriptorOwner] = chain.map(\.image.blob) + [directory]
        try run(["render", "--spans=" + chain.map { String($0.span) }.joined(separator: ",")], descriptors: descriptors)
    }
}
