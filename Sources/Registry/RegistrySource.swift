import AppC
import Credentials
import Digest
import Files
import Hashing
import Image
import Reference
import Threads

/// How a registry is asked.
public struct RegistryOptions: Sendable {
    /// Which image of several is wanted.
    public var platform: Platform
    public var insecureSkipVerify: Bool
    /// Plain HTTP is tried where HTTPS isn't spoken; on loopback it always is.
    public var allowHTTP: Bool
    /// How many layers are downloaded at once.
    public var jobs: Int
    public var credential: Credential?

    public init(platform: Platform = .current, insecureSkipVerify: Bool = false, allowHTTP: Bool = false, jobs: Int = 3, credential: Credential? = nil) {
        self.credential = credential
        self.platform = platform
        self.insecureSkipVerify = insecureSkipVerify
        self.allowHTTP = allowHTTP
        self.jobs = jobs
    }
}

/// An image in a v2 registry. Layers are downloaded side by side into files without a name, each blob once, and every digest is
/// checked before anybody reads a byte.
public final class RegistrySource: ImageSource {
    private let client: RegistryClient
    private let options: RegistryOptions
    private let scratch: Directory
    private let events: @Sendable (SourceEvent) -> Void
    private let state = Monitor(State())

    private struct State {
        var image: SourceImage?
        var downloads: Downloads?
    }

    /// - Parameter scratch: where the layers lie until this object goes.
    public init(reference: ImageReference, options: RegistryOptions, scratch: Directory, events: @escaping @Sendable (SourceEvent) -> Void = { _ in }) {
        client = RegistryClient(reference, options)
        self.options = options
        self.scratch = scratch
        self.events = events
    }

    deinit { state.update { $0.downloads }?.cancel() }

    public func image() throws -> SourceImage {
        try state.update { state in
            if let image = state.image { return image }
            let image = try read()
            state.image = image
            state.downloads = Downloads(image.layers, client: client, jobs: options.jobs, scratch: scratch, events: events)
            return image
        }
    }

    public func blob(_ index: Int) throws -> LayerBlob {
        _ = try image()
        return try state.update { $0.downloads! }.wait(for: index)
    }

    // MARK: Manifest and configuration

    private var reference: ImageReference { client.reference }

    private func read() throws -> SourceImage {
        var (bytes, digest) = try client.manifest(reference.manifestReference)
        var document = try decode(ManifestDocument.self, bytes, "the manifest")
        // What the name leads to; the index where there is one.
        let named = digest
        for _ in 0..<2 {
            guard let offers = document.manifests else { break }
            (bytes, digest) = try client.manifest(choose(offers).description)
            document = try decode(ManifestDocument.self, bytes, "the manifest")
        }
        guard let config = document.config, let layers = document.layers else {
            throw RegistryError.invalid(
                reference,
                reason: document.schemaVersion == 1 ? "it has a manifest of schema 1, which d2a can't read yet" : "its manifest is of an unknown kind")
        }
        let configDigest = try parse(config.digest)
        let configBytes = try client.document(config, configDigest)
        let diffIDs = try decode(ConfigDocument.self, configBytes, "the configuration").rootfs?.diff_ids ?? []
        guard diffIDs.count == layers.count else {
            throw RegistryError.invalid(reference, reason: "the configuration names \(diffIDs.count) layers, the manifest \(layers.count)")
        }
        let descriptors = try zip(layers, diffIDs).map { layer, diffID in
            guard layer.size >= 0 else { throw RegistryError.invalid(reference, reason: "a layer has the size \(layer.size)") }
            return LayerDescriptor(digest: try parse(layer.digest), diffID: try parse(diffID), size: layer.size)
        }
        let name = ImageName(registry: reference.registry, repository: reference.repository, tag: reference.tag, original: reference.original)
        return SourceImage(name: name, config: configBytes, configDigest: configDigest, manifestDigest: named, layers: descriptors)
    }

    private func choose(_ offers: [Descriptor]) throws -> Digest {
        let offered = offers.compactMap { offer -> (platform: Platform, digest: String)? in
            guard let os = offer.platform?.os, let architecture = offer.platform?.architecture, os != "unknown" else { return nil }
            return (Platform(os: os, architecture: architecture, variant: offer.platform?.variant), offer.digest)
        }
        // The first of the best, as Docker does.
        let best = offered.map { options.platform.suitability(of: $0.platform) }.max() ?? 0
        guard best > 0, let chosen = offered.first(where: { options.platform.suitability(of: $0.platform) == best }) else {
            throw RegistryError.noSuchPlatform(reference, wanted: options.platform, available: offered.map(\.platform))
        }
        return try parse(chosen.digest)
    }

    private func parse(_ text: String) throws -> Digest {
        guard let digest = Digest(text) else { throw RegistryError.invalid(reference, reason: "\"\(text)\" is not a digest") }
        return digest
    }

    private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ what: String) throws -> T {
        do { return try CanonicalJSON.decode(type, from: bytes) } catch { throw RegistryError.invalid(reference, reason: "\(what) can't be understood") }
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
        var outcomes: [Digest: Outcome] = [:]
        /// The first real one.
        var failure: (any Error)?
        var next = 0
        var cancelled = false
    }

    private let layers: [LayerDescriptor]
    private let state = Monitor(State())

    init(_ layers: [LayerDescriptor], client: RegistryClient, jobs: Int, scratch: Directory, events: @escaping @Sendable (SourceEvent) -> Void) {
        self.layers = layers
        // A layer that stands in the list twice is one blob.
        var seen: Set<Digest> = []
        let blobs = layers.filter { seen.insert($0.digest!).inserted }
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
                    let (layer, digest) = (blobs[index], blobs[index].digest!)
                    let outcome: Outcome
                    do {
                        let file = try scratch.unnamedFile()
                        events(.started(layer: layer, total: layer.size))
                        try client.download(digest, size: layer.size!, into: file) { received in
                            if state.update({ $0.cancelled }) { throw Cancelled() }
                            events(.received(layer: layer, bytes: received))
                        }
                        events(.finished(layer: layer))
                        outcome = .file(file)
                    } catch { outcome = .failed(error) }
                    state.update { state in
                        state.outcomes[digest] = outcome
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
        let layer = layers[index]
        let outcome = state.wait { state -> Outcome? in
            if case .file? = state.outcomes[layer.digest!] { return state.outcomes[layer.digest!] }
            // After a failure the rest is stopped or never begun: its reason is everybody's.
            return state.failure.map { .failed($0) }
        }
        switch outcome {
        case .file(let file): return LayerBlob(file: file, offset: 0, length: layer.size!)
        case .failed(let error): throw error
        }
    }
}
