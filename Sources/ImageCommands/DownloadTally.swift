import Diagnostics
import Image
import Program

/// What has come of an image's layers, and how fast.
struct DownloadTally {
    struct Layer {
        var label: String
        var size: Int?
        var received = 0
        var started = false
        var done = false
        var rate = Rate()
    }

    /// What a layer is called.
    let noun: String
    private(set) var layers: [Layer] = []
    private var places: [String: Int] = [:]
    private var start: Double?
    var rate = Rate()

    init(noun: String = "layer") { self.noun = noun }

    mutating func note(_ event: SourceEvent, _ time: Double) {
        switch event {
        case .found(let found):
            for layer in found where places[layer.label] == nil {
                places[layer.label] = layers.count
                layers.append(Layer(label: layer.label, size: layer.size))
            }
        case .started(let layer):
            start = start ?? time
            change(layer) { $0.started = true }
        case .received(let layer, let bytes): change(layer) { $0.received = bytes }
        case .finished(let layer): change(layer) { $0.done = true }
        }
    }

    private mutating func change(_ layer: LayerDescriptor, _ body: (inout Layer) -> Void) {
        if let place = places[layer.label] { body(&layers[place]) }
    }

    /// Those that come now, and how fast.
    mutating func coming(_ time: Double) -> [(layer: Layer, rate: Double)] {
        layers.indices.filter { layers[$0].started && !layers[$0].done }.map { (layers[$0], layers[$0].rate.update(layers[$0].received, time)) }
    }

    /// Since the first layer began to come.
    func seconds(_ time: Double) -> Double { time - (start ?? time) }
    var isComplete: Bool { layers.allSatisfy(\.done) }
    var doneCount: Int { layers.reduce(0) { $0 + ($1.done ? 1 : 0) } }
    /// Bytes that came from the network.
    var received: Int { layers.reduce(0) { $0 + $1.received } }
    /// Bytes that are here.
    var here: Int { layers.reduce(0) { $0 + ($1.done ? $1.size ?? $1.received : $1.received) } }
    /// Bytes of all layers; nil where a registry doesn't say.
    var size: Int? { layers.reduce(.some(0)) { sum, layer in sum.flatMap { sum in layer.size.map { $0 + sum } } } }

    func wasDownloaded(_ layer: LayerDescriptor) -> Bool { places[layer.label].map { layers[$0].started } ?? false }

    /// `6 of 10 layers, 12.0 MiB of 40.0 MiB`
    var sum: String {
        "\(doneCount) of \(layers.count) \(noun)\(layers.count == 1 ? "" : "s"), \(Size.text(here))" + (size.map { " of \(Size.text($0))" } ?? "")
    }

    func lineOfFinished(_ layer: LayerDescriptor) -> String? {
        guard let place = places[layer.label] else { return nil }
        let found = layers[place]
        return "\(Size.short(found.label))  \(Size.text(found.size ?? found.received))" + (found.started ? "" : ", from the cache")
    }

    func summary(_ time: Double) -> String {
        let seconds = max(seconds(time), 0.001)
        let count = layers.count { $0.started }
        return
            "\(count) \(noun)\(count == 1 ? "" : "s"), \(Size.text(received)) in \((seconds * 10).rounded() / 10) s, \(Size.rate(Double(received) / seconds))"
    }
}

/// Bytes a second, of the last few seconds.
struct Rate {
    private var last: (bytes: Int, time: Double)?
    private var value = 0.0

    mutating func update(_ bytes: Int, _ time: Double) -> Double {
        guard let (before, then) = last else {
            last = (bytes, time)
            return 0
        }
        let passed = time - then
        guard passed >= 0.05 else { return value }
        let now = Double(max(0, bytes - before)) / passed
        // What was, counts less the longer ago it is: half after two seconds. The first figure has nothing before it.
        let share = value == 0 ? 1 : min(1, passed / (passed + 2))
        value += (now - value) * share
        last = (bytes, time)
        return value
    }
}

/// Figures for people.
enum Size {
    static func text(_ bytes: Int) -> String {
        if bytes < 1024 { return "\(bytes) B" }
        var value = Double(bytes) / 1024
        for unit in ["KiB", "MiB"] {
            if value < 1023.95 { return "\((value * 10).rounded() / 10) \(unit)" }
            value /= 1024
        }
        return "\((value * 10).rounded() / 10) GiB"
    }

    static func rate(_ bytes: Double) -> String { text(Int(bytes)) + "/s" }

    /// `a1b2c3d4e5f6` of a digest or an id; the last part of a web address.
    static func short(_ label: String) -> String {
        if let slash = label.lastIndex(of: "/") { return String(printable(String(label[label.index(after: slash)...])).prefix(40)) }
        return String((label.split(separator: ":").last ?? "layer").prefix(12))
    }

    /// `1:05`, `1:00:00`
    static func time(_ seconds: Double) -> String {
        let seconds = Int(min(seconds, 359_999))
        func two(_ number: Int) -> String { (number < 10 ? "0" : "") + String(number) }
        return seconds < 3600 ? "\(seconds / 60):\(two(seconds % 60))" : "\(seconds / 3600):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    }
}
