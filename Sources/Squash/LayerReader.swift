import Archive

/// Reads the members of layers, within limits, and says in which layer something is wrong.
struct LayerReader {
    private let provider: any LayerProvider
    private let limits: Limits

    init(_ provider: any LayerProvider, _ limits: Limits) {
        self.provider = provider
        self.limits = limits
    }

    /// What counts the members of all layers while each is read for the first time.
    var counter: Counter { Counter(limits) }

    /// Reads a layer for the first time, from its first to its last byte.
    func read(_ layer: Int, _ counter: Counter, _ body: (TarEntry, any MemberReader) throws -> Void) throws {
        do {
            if let members = try provider.members(layer) {
                counter.beginLayer(.max)
                while let entry = try members.next() {
                    try counter.count(entry)
                    try body(entry, members)
                }
                return
            }
            let bound = try limits.bound(servedSize: provider.servedSize(layer))
            counter.beginLayer(bound)
            // Headers and padding are bytes too.
            let source = BoundedSource(try provider.open(layer, checked: true), bound: bound, ratio: limits.ratio)
            let reader = try TarReader(source)
            while let entry = try reader.next() {
                try counter.count(entry)
                try body(entry, reader)
            }
            // What stands after the end-of-archive blocks counts for the layer's digest.
            try source.drain()
        } catch let error as ArchiveError { throw LayerError(layer: layer, error: error) }
    }

    /// Reads the members of a layer that was read before, up to the one numbered `last`.
    func readAgain(_ layer: Int, through last: Int, _ body: (TarEntry, Int, any MemberReader) throws -> Void) throws {
        do {
            let reader = try again(layer)
            for ordinal in 0..<last + 1 {
                // The layer was read to its end before; if entries are missing now, the file changed under us.
                guard let entry = try reader.next() else { throw ArchiveError.truncated }
                try body(entry, ordinal, reader)
            }
        } catch let error as ArchiveError { throw LayerError(layer: layer, error: error) }
    }

    /// A layer's members, which may be read in part.
    func again(_ layer: Int) throws -> any MemberReader { try provider.members(layer) ?? TarReader(provider.open(layer, checked: false)) }
}
