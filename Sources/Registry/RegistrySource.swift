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
            let found = try find()
            state.image = found
            state.downloads = Downloads(found, jobs: options.jobs, cache: options.cache, scratch: scratch, events: events)
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

    public func giveUp() { state.update { $0.downloads }?.cancel() }

    /// The image at the first place that has it; where none has, the last one's failure is told: the registry's own.
    private func find() throws -> any RemoteImage {
        let servers = try access.places.map { try RegistryServer($0, options) }
        for (number, server) in servers.enumerated() where server.isMirror {
            do { return try RemoteImageV2(server, named: reference, others: Array(servers[(number + 1)...])) } catch let error
                where error is RegistryError || error is TransportError || error is SourceError
            {}
        }
        guard let server = servers.last(where: { !$0.isMirror }) else { throw RegistryError.invalid(reference, reason: "there is no place to ask for it") }
        switch options.version {
        case .v1: return try RemoteImageV1(server, named: reference)
        case .v2: return try RemoteImageV2(server, named: reference)
        case .auto:
            do { return try RemoteImageV2(server, named: reference) } catch let error as RegistryError {
                switch error {
                case .otherProtocol: return try RemoteImageV1(server, named: reference)
                case .repositoryNotFound, .tagNotFound:
                    // What the second protocol says of a missing image tells more, unless the first one has it.
                    do { return try RemoteImageV1(server, named: reference) } catch is RegistryError { throw error } catch is TransportError { throw error }
                default: throw error
                }
            }
        }
    }
}
