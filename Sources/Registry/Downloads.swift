import Digest
import Files
import Image
import Threads

/// The downloads of one image's layers, several at once: the top layer first, as images are read, and then the base, which tells most of
/// the root directory; but what somebody waits for goes before what nobody does.
final class Downloads: Sendable {
    private enum Progress {
        /// So many bytes are in the file, which may become fewer where a download begins anew.
        case arriving(OpenFile, received: Int)
        case whole(OpenFile)
    }
    private struct Cancelled: Error {}

    private struct State {
        var progress: [String: Progress] = [:]
        /// Layers that are wanted, and that nobody has begun to download.
        var waiting: [Int] = []
        /// Those that somebody has.
        var begun: Set<String> = []
        /// Threads that download.
        var threads = 0
        /// The first real one: after it the rest is stopped or never begun, and its reason is everybody's.
        var failure: (any Error)?
        var cancelled = false
        /// Blobs that are in the cache only since this image was asked for.
        var cached: [Digest] = []
        var refused = false

        /// Puts a layer before all others, where it has not been begun.
        mutating func prefer(_ index: Int, in image: any RemoteImage) {
            guard !begun.contains(image.key(index)) else { return }
            waiting.removeAll { image.key($0) == image.key(index) }
            waiting.insert(index, at: 0)
        }

        func checkFailure() throws {
            if let failure { throw failure }
            if cancelled { throw Cancelled() }
        }
    }

    private let found: any RemoteImage
    private let jobs: Int
    private let cache: BlobCache?
    private let scratch: Directory
    private let events: @Sendable (SourceEvent) -> Void
    private let state = Monitor(State())
    /// Each blob once, the one first that should come first.
    private let blobs: [Int]

    /// Nothing is downloaded before it is wanted.
    init(_ found: any RemoteImage, jobs: Int, cache: BlobCache?, scratch: Directory, events: @escaping @Sendable (SourceEvent) -> Void) {
        (self.found, self.jobs, self.cache, self.scratch, self.events) = (found, jobs, cache, scratch, events)
        // A layer that stands in the list twice is one blob.
        var seen: Set<String> = []
        let layers = Array(found.image.layers.indices.reversed())
        blobs = (layers.prefix(1) + layers.suffix(1) + layers.dropFirst()).filter { seen.insert(found.key($0)).inserted }
        events(.found(layers: blobs.map { found.image.layers[$0] }))
    }

    /// Begins to download layers.
    func begin(_ wanted: (LayerDescriptor) -> Bool) {
        let layers = blobs.filter { wanted(found.image.layers[$0]) }
        state.update { state in state.waiting += layers.filter { !state.begun.contains(found.key($0)) && !state.waiting.contains($0) } }
        startThreads()
    }

    private func want(_ index: Int) {
        state.update { $0.prefer(index, in: found) }
        startThreads()
    }

    private func startThreads() {
        let count = state.update { state -> Int in
            let count = max(0, min(jobs - state.threads, state.waiting.count))
            state.threads += count
            return count
        }
        for _ in 0..<count {
            // Not this object: it cancels the threads when it goes.
            WorkerThread { [found, state, cache, scratch, events] in
                while let index = Self.next(found, state) {
                    do {
                        let file = try Self.download(index, found, state, cache, scratch, events)
                        events(.finished(layer: found.image.layers[index]))
                        state.update { $0.progress[found.key(index)] = .whole(file) }
                    } catch {
                        state.update { state in
                            if state.failure == nil, !(error is Cancelled) { state.failure = error }
                            state.cancelled = true
                        }
                    }
                }
            }.detach()
        }
    }

    /// - Returns: nil where the thread is to end.
    private static func next(_ found: any RemoteImage, _ state: Monitor<State>) -> Int? {
        state.update { state in
            guard !state.cancelled, !state.waiting.isEmpty else {
                state.threads -= 1
                return nil
            }
            let index = state.waiting.removeFirst()
            state.begun.insert(found.key(index))
            return index
        }
    }

    private static func download(
        _ index: Int, _ found: any RemoteImage, _ state: Monitor<State>, _ cache: BlobCache?, _ scratch: Directory,
        _ events: @escaping @Sendable (SourceEvent) -> Void
    ) throws -> OpenFile {
        let (layer, key) = (found.image.layers[index], found.key(index))
        func fetch(_ file: OpenFile) throws {
            events(.started(layer: layer))
            try found.download(index, into: file) { received in
                try state.update { state in
                    if state.cancelled { throw Cancelled() }
                    state.progress[key] = .arriving(file, received: received)
                }
                events(.received(layer: layer, bytes: received))
            }
        }
        if let cache, let digest = layer.digest {
            var came = false
            let file = try cache.blob(digest, size: layer.size, scratch: scratch) {
                came = true
                try fetch($0)
            }
            let refused = state.update { state in
                if came { state.cached.append(digest) }
                return state.refused
            }
            if came, refused { try cache.remove(digest) }
            return file
        }
        let file = try scratch.unnamedFile()
        try fetch(file)
        return file
    }

    func cancel() { state.update { $0.cancelled = true } }

    /// Cancels, and removes from the cache what came into it.
    func refuse() {
        let cached = state.update { state in
            (state.cancelled, state.refused) = (true, true)
            return state.cached
        }
        for digest in cached { try? cache?.remove(digest) }
    }

    /// Blocks until the layer is here, or it is certain that it won't be.
    func wait(for index: Int) throws -> LayerBlob {
        let key = found.key(index)
        want(index)
        let file = try state.wait { state -> OpenFile? in
            if case .whole(let file)? = state.progress[key] { return file }
            try state.checkFailure()
            return nil
        }
        return LayerBlob(file: file, offset: 0, length: try file.size())
    }

    /// Blocks until the layer begins to come.
    func arriving(_ index: Int) throws -> LayerBlob {
        let key = found.key(index)
        want(index)
        let (file, isWhole) = try state.wait { state -> (OpenFile, Bool)? in
            switch state.progress[key] {
            case .whole(let file): return (file, true)
            case .arriving(let file, _):
                try state.checkFailure()
                return (file, false)
            case nil:
                try state.checkFailure()
                return nil
            }
        }
        if isWhole { return LayerBlob(file: file, offset: 0, length: try file.size()) }
        return LayerBlob(file: file, offset: 0, length: found.image.layers[index].size ?? .max) { [state] position in
            try state.wait { state in
                if case .whole(let file)? = state.progress[key] { return try file.size() }
                try state.checkFailure()
                if case .arriving(_, let received)? = state.progress[key], received > position { return received }
                return nil
            }
        }
    }

    /// The first bytes of a layer that has begun to come, or is the base; of any other none.
    func beginning(_ index: Int) throws -> LayerBlob {
        if index == 0 || state.update({ $0.progress[found.key(index)] != nil }) { return try arriving(index) }
        return LayerBlob(file: try scratch.unnamedFile(), offset: 0, length: 0)
    }
}
