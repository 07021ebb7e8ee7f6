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
/// checked before anybody reads a byte.
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

/// The downloads of one image's layers, base first, several at once.
private final class Downloads: Sendable {
    private enum Outcome {
        case file(OpenFile)
        case failed(any Error)
    }
    private struct Cancelled: Error {}

    private struct State {
        var outcomes: [String: Outcome] = [:]
        /// The first real one.
        var failure: (any Error)?
        var next = 0
        var cancelled = false
    }

    private let found: any RemoteImage
    private let state = Monitor(State())

    init(_ found: any RemoteImage, jobs: Int, cache: BlobCache?, scratch: Directory, events: @escaping @Sendable (SourceEvent) -> Void) {
        self.found = found
        // A layer that stands in the list twice is one blob.
        var seen: Set<String> = []
        let blobs = found.image.layers.indices.filter { seen.insert(found.key($0)).inserted }
        let state = self.state
        for _ in 0..<min(jobs, blobs.count) {
            WorkerThread {
                while true {
                    let index = state.update { state -> Int? in
                        guard !state.cancelled, state.next < blobs.count else { return nil }
                        defer { state.next += 1 }
                        return state.next
                    }
                    guard let index else { return }
                    let layer = found.image.layers[blobs[index]]
                    let outcome: Outcome
                    do {
                        @Sendable func download(_ file: OpenFile) throws {
                            events(.started(layer: layer, total: layer.size))
                            try found.download(blobs[index], into: file) { received in
                                if state.update({ $0.cancelled }) { throw Cancelled() }
                                events(.received(layer: layer, bytes: received))
                            }
                        }
                        let file: OpenFile
                        if let cache, let digest = layer.digest {
                            file = try cache.blob(digest, size: layer.size, scratch: scratch, fetch: download)
                        } else {
                            file = try scratch.unnamedFile()
                            try download(file)
                        }
                        events(.finished(layer: layer))
                        outcome = .file(file)
                    } catch { outcome = .failed(error) }
                    state.update { state in
                        state.outcomes[found.key(blobs[index])] = outcome
                        guard case .failed(let error) = outcome else { return }
                        if state.failure == nil, !(error is Cancelled) { state.failure = error }
                        state.cancelled = true
                    }
                }
            }.detach()
        }
    }

    func cancel() { state.update { $0.cancelled = true } }

    /// Blocks until the layer is here, or it is certain that it won't be.
    func wait(for index: Int) throws -> LayerBlob {
        let key = found.key(index)
        let outcome = state.wait { state -> Outcome? in
            if case .file? = state.outcomes[key] { return state.outcomes[key] }
            // After a failure the rest is stopped or never begun: its reason is everybody's.
            return state.failure.map { .failed($0) }
        }
        switch outcome {
        case .file(let file): return LayerBlob(file: file, offset: 0, length: try file.size())
        case .failed(let error): throw error
        }
    }
}
