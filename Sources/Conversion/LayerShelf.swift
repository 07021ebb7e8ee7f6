import ACI
import Digest
import Files
import Glibc
import Image
import Squash
import Threads

/// Layers that several images have, each read once and kept (``PackedLayer``) as long as there is room. Safe to use from several
/// threads: of those that want the same layer at once one reads it, and the others wait.
public final class LayerShelf: Sendable {
    private enum Slot {
        case making
        case ready(PackedLayer, lastUse: Int)
    }

    private struct State {
        var slots: [String: Slot] = [:]
        var uses = 0
        /// Bytes of files, and of memory, of all layers that anybody still holds or makes.
        var disk = 0
        var memory = 0
        var statistics = Statistics()
    }

    /// What was saved.
    public struct Statistics: Sendable {
        /// Layers that were read and kept, and how often one was taken that was there.
        public var made = 0
        public var taken = 0
        /// Layers that there was no room for.
        public var refused = 0
    }

    private struct NoRoom: Error {}

    private let directory: Directory
    private let workers: Int
    private let disk: Int
    private let memory: Int
    private let state = Monitor(State())

    /// - Parameters:
    ///   - directory: where files lie that have no name.
    ///   - disk: bytes that files may have at most, all together.
    ///   - memory: about so many bytes of memory.
    ///   - workers: how many threads compress a layer.
    public init(_ directory: Directory, disk: Int, memory: Int, workers: Int = processorCount) {
        (self.directory, self.disk, self.memory, self.workers) = (directory, disk, memory, workers)
    }

    /// Layers that are kept lead back to the state that keeps them.
    deinit { clear() }

    public var statistics: Statistics { state.update { $0.statistics } }

    /// Lets go of all that nobody uses now.
    public func clear() { evict { _ in false } }

    /// Whether a layer is kept, or somebody reads it now.
    /// - Parameter level: of compression; the image is compressed with the same.
    public func holds(_ layer: LayerDescriptor, level: Int) -> Bool { Self.key(layer, level).map { key in state.update { $0.slots[key] != nil } } ?? false }

    /// The same for layers that are the same bytes. Only what is checked against a digest can stand for another image's layer.
    private static func key(_ layer: LayerDescriptor, _ level: Int) -> String? { layer.diffID.map { "\(layer.digest?.description ?? "") \($0) \(level)" } }

    /// A layer that is kept, or read now.
    /// - Returns: nil where there is no room for it.
    /// - Throws: errors of reading it.
    func layer(_ number: Int, _ descriptor: LayerDescriptor, of provider: any LayerProvider, level: Int, limits: Limits) throws -> PackedLayer? {
        guard let key = Self.key(descriptor, level) else { return nil }
        let found = state.wait { state -> PackedLayer?? in
            switch state.slots[key] {
            case .making: return nil
            case .ready(let layer, _):
                state.uses += 1
                state.slots[key] = .ready(layer, lastUse: state.uses)
                state.statistics.taken += 1
                return layer
            case nil:
                state.slots[key] = .making
                return .some(nil)
            }
        }
        if let found { return found }
        // Grows while the layer is made; what is given back on any way out but the last.
        let reserved = Monitor(0)
        do {
            let made = try PackedLayer(number, of: provider, limits: limits, level: level, workers: workers, file: directory.unnamedFile()) { size in
                try reserved.update { try self.reserve(size - $0, &$0) }
            } member: {
                ACIWriter.member($0)
            } released: { [state] layer in
                state.update { state in
                    state.disk -= layer.fileSize
                    state.memory -= layer.memorySize
                }
            }
            let fits = state.update { state -> Bool in
                state.memory += made.memorySize
                state.uses += 1
                state.slots[key] = .ready(made, lastUse: state.uses)
                state.statistics.made += 1
                return state.memory <= memory
            }
            if !fits { evict { $0.memory <= self.memory } }
            return made
        } catch {
            // A full disk is no reason to fail: the image may have room without it.
            let isFull = error is NoRoom || [ENOSPC, EDQUOT].contains((error as? FileError)?.code)
            if isFull, !(error is NoRoom) { clear() }
            state.update { state in
                state.slots[key] = nil
                state.disk -= reserved.update { $0 }
                if isFull { state.statistics.refused += 1 }
            }
            if isFull { return nil }
            throw error
        }
    }

    private func reserve(_ bytes: Int, _ reserved: inout Int) throws {
        if state.update({ $0.disk + bytes > disk }) { evict { $0.disk + bytes <= self.disk } }
        try state.update { state in
            guard state.disk + bytes <= disk else { throw NoRoom() }
            state.disk += bytes
        }
        reserved += bytes
    }

    /// Lets go of what was used longest ago, and is used by nobody now, until there is enough.
    private func evict(until enough: (State) -> Bool) {
        while true {
            // The layer goes outside of the lock, which its end takes.
            let victim = state.update { state -> PackedLayer? in
                if enough(state) { return nil }
                let ready = state.slots.compactMap { key, slot -> (key: String, layer: PackedLayer, lastUse: Int)? in
                    guard case .ready(let layer, let lastUse) = slot else { return nil }
                    return (key, layer, lastUse)
                }
                guard let oldest = ready.min(by: { $0.lastUse < $1.lastUse }) else { return nil }
                state.slots[oldest.key] = nil
                return oldest.layer
            }
            if victim == nil { return }
        }
    }
}
