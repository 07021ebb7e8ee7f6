import Archive

/// Numbers that look random and are the same for the same seed (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    public init(seed: UInt64) { state = seed }
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

/// A stack of layers that nobody would build: few names, so that they meet; whiteouts, links, duplicates, odd orders and
/// odd spellings.
public func randomLayers(seed: UInt64) -> [[(entry: TarEntry, content: [UInt8])]] {
    var random = SeededGenerator(seed: seed)
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    let alphabet: [[UInt8]] = ["a", "b", "c", "d"].map { Array($0.utf8) } + [[0xFF, 0x80], Array("é".utf8)]
    let few = Int.random(in: 2...alphabet.count, using: &random)
    func path() -> [[UInt8]] { (0..<Int.random(in: 1...3, using: &random)).map { _ in alphabet[Int.random(in: 0..<few, using: &random)] } }
    func spelled(_ components: [[UInt8]], directory: Bool = false) -> [UInt8] {
        let separator = Array((chance(5) ? "//" : chance(5) ? "/./" : "/").utf8)
        let start = Array((chance(20) ? "./" : chance(5) ? "/" : "").utf8)
        return start + Array(components.joined(separator: separator)) + (directory && chance(60) ? [UInt8(ascii: "/")] : [])
    }
    let withLinks = chance(50)
    var files: [[[UInt8]]] = []
    return (0..<Int.random(in: 1...5, using: &random)).map { layer in
        (0..<Int.random(in: 0...9, using: &random)).map { ordinal in
            let place = path()
            var entry = TarEntry(path: spelled(place), kind: .file, mode: [0o644, 0o4755, 0o600].randomElement(using: &random)!)
            (entry.uid, entry.gid) = (Int64(layer), Int64(ordinal))
            entry.mtime = Int64(layer * 100 + ordinal)
            entry.mtimeNanoseconds = chance(20) ? 123_456_789 : 0
            var content: [UInt8] = []
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<30:
                content = Array("\(layer):\(ordinal)".utf8)
                if chance(10) { entry.xattrs = [ExtendedAttribute(name: Array("user.x".utf8), value: [0, 1, 0xFF])] }
                files.append(place)
            case 30..<55:
                entry.kind = .directory
                entry.path = chance(8) ? Array("./".utf8) : spelled(place, directory: true)
                entry.mode = [0o755, 0o700, 0o1777].randomElement(using: &random)!
            case 55..<62:
                entry.kind = .symbolicLink
                entry.linkTarget = Array((chance(50) ? "a" : "/b/../c").utf8)
                files.append(place)
            case 62..<66:
                entry.kind = chance(50) ? .fifo : .characterDevice
                if entry.kind == .characterDevice { (entry.deviceMajor, entry.deviceMinor) = (5, UInt32(ordinal)) }
                files.append(place)
            case 66..<82 where withLinks:
                entry.kind = .hardLink
                entry.linkTarget = spelled(chance(90) ? files.randomElement(using: &random) ?? place : path())
                files.append(place)
            case 66..<90: entry.path = spelled(place.dropLast() + [Array(".wh.".utf8) + place.last!])
            case 90..<96: entry.path = spelled(place + [Array(".wh..wh..opq".utf8)])
            case 96..<98: entry.path = spelled(place.dropLast() + [Array(".wh..wh.plnk".utf8)])
            default: entry.path = chance(1) ? Array("../x".utf8) : spelled(place)
            }
            return (entry, content)
        }
    }
}
