import Cache
import Credentials
import Digest
import Files
import Image
import Manifests
import Reference
import Threads
import Transport

/// An image in a registry. Layers are downloaded side by side into files without a name, each blob once, and every digest is
/// checked.
public final class RegistrySource: ImageSource {
    private let reference: ImageReference
    private let options: RegistryOptions
    private let access: RegistryAccess
    private let scratch: Directory
    private let events: @Sendable (SourceEvent) -> Void
    private let state = Monitor(State())

    private struct State {
        var clients: [RegistryClient]?
        var image: (any RemoteImage)?
        var downloads: Downloads?
    }

    /// - Parameters:
    ///   - access: where it is asked for.
    ///   - scratch: where the layers lie until this object goes.
    public init(
        reference: ImageReference, options: RegistryOptions, access: RegistryAccess, scratch: Directory,
        events: @escaping @Sendable (SourceEvent) -> Void = { _ in }
    ) {
        (self.reference, self.options, self.access) = (reference, options, access)
        self.scratch = scratch
        self.events = events
    }

    deinit { state.update { $0.downloads }?.cancel() }

    public func image() throws -> SourceImage {
        try state.update { state in
            if let found = state.image { return found.image }
            let found = try find(&state)
            state.image = found
            let downloads = Downloads(found, jobs: options.jobs, cache: options.cache, scratch: scratch, events: events)
            state.downloads = downloads
            if !options.lazily { downloads.begin { _ in true } }
            return found.image
        }
    }

    public func blob(_ index: Int) throws -> LayerBlob {
        _ = try image()
        return try state.update { $0.downloads! }.wait(for: index)
    }

    public func arriving(_ index: Int) throws -> LayerBlob {
        // Only what has a diff ID can be checked by whoever reads it.
        guard try image().layers[index].diffID != nil else { return try blob(index) }
        return try state.update { $0.downloads! }.arriving(index)
    }

    public func beginning(_ index: Int) throws -> LayerBlob {
        _ = try image()
        return try state.update { $0.downloads! }.beginning(index)
    }

    public func prefetch(_ wanted: (LayerDescriptor) -> Bool) throws {
        _ = try image()
        state.update { $0.downloads! }.begin(wanted)
    }

    /// Asks the registry itself, by `HEAD`, which costs it, and those who count, less than a manifest.
    public func manifestDigest() throws -> Digest? {
        guard options.version != .v1, let client = try state.update({ try clients(&$0) }).last(where: { !$0.server.isMirror }) else { return nil }
        return try client.manifestDigest(client.server.reference.manifestReference)
    }

    public func giveUp() { state.update { $0.downloads }?.cancel() }

    public func refuse() {
        let (image, downloads) = state.update { ($0.image?.image, $0.downloads) }
        downloads?.refuse()
        // It is small, and may have been there before.
        if let config = image.flatMap({ Digest($0.id) }) { try? options.cache?.remove(config) }
    }

    private func clients(_ state: inout State) throws -> [RegistryClient] {
        if let known = state.clients { return known }
        let clients = try access.places.map { RegistryClient(try RegistryServer($0, options)) }
        state.clients = clients
        return clients
    }

    /// The image at the first place that has it; where none has, the last one's failure is told: the registry's own.
    private func find(_ state: inout State) throws -> any RemoteImage {
        let clients = try clients(&state)
        for (number, client) in clients.enumerated() where client.server.isMirror {
            do { return try RemoteImageV2(client, named: reference, others: Array(clients[(number + 1)...])) } catch let error
                where error is RegistryError || error is TransportError || error is SourceError
            {}
        }
        guard let client = clients.last(where: { !$0.server.isMirror }) else {
            throw RegistryError.invalid(reference, reason: "there is no place to ask for it")
        }
        switch options.version {
        case .v1: return try RemoteImageV1(client.server, named: reference)
        case .v2: return try RemoteImageV2(client, named: reference)
        case .auto:
            do { return try RemoteImageV2(client, named: reference) } catch let error as RegistryError {
                switch error {
                case .otherProtocol: return try RemoteImageV1(client.server, named: reference)
                case .repositoryNotFound, .tagNotFound:
                    // What the second protocol says of a missing image tells more, unless the first one has it.
                    do { return try RemoteImageV1(client.server, named: reference) } catch is RegistryError { throw error } catch is TransportError {
                        throw error
                    }
                default: throw error
                }
            }
        }
    }
}
