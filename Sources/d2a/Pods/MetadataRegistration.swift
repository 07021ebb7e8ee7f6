import ArgumentParser
import Files
import Metadata
import Pod
import Stage1

extension PodDirectory {
    /// Registers the pod with the machine's metadata service.
    /// - Parameter network: a path that leads to the network namespace that was made for the pod; nil for the host's network.
    /// - Returns: what its apps get as `AC_METADATA_URL`.
    func registerMetadata(network: String?) throws -> String {
        let manifest = try manifest()
        let images = try (manifest.apps ?? []).map { app in
            (app: app.name, manifest: try self.app(app.name).file("manifest").readAll(limit: 16 << 20))
        }
        return try MetadataService().register(MetadataDocument(uuid: uuid, manifest: manifest, images: images, network: network), pod: directory)
    }
}
