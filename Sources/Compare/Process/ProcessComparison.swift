import Observation

/// Compares what was seen of an image's process under Docker and in a pod.
public enum ProcessComparison {
    /// - Parameters:
    ///   - part: gets the differences, each by the rule that explains it, and the matrices of capabilities and namespaces.
    ///   - left: Docker's side.
    public static func compare(_ left: ProcessSide, _ right: ProcessSide, _ scene: ProcessScene, into part: Part) -> Part {
        var part = part
        var facts = ProcessFacts()
        if let a = left.surroundings, let b = right.surroundings {
            facts.compare(a, b, scene)
            part.matrices += matrices(a, b, scene)
        }
        if let a = left.run, let b = right.run { facts.compare(a, b, scene.conditions.stopSignal) }
        // The probe is refused where the program is; where only one of them is, that is told once.
        let isTold = facts.all.contains { $0.aspect == .start }
        if !isTold, (left.surroundings == nil) != (right.surroundings == nil) { facts.compare(.start, "", start(left.refusal), start(right.refusal)) }
        for fact in facts.all {
            let rule = RuleTable.processRules.first { $0.explains(fact, scene, left.surroundings, right.surroundings) }?.rule ?? RuleTable.unexpectedProcess
            part.add(Difference(rule.id, subject: fact.aspect.rawValue.utf8, field: escaped(fact.name), left: fact.left, right: fact.right))
        }
        part.compared += facts.compared
        return part
    }

    static func start(_ refusal: String?) -> String { refusal ?? "started" }

    private static func matrices(_ left: Surroundings, _ right: Surroundings, _ scene: ProcessScene) -> [Matrix] {
        func sets(_ side: Surroundings, _ number: Int) -> String {
            let names = Surroundings.CapabilitySets.all.filter { CapabilityNames.contains(side.capabilities[keyPath: $0.set], number) }.map(\.name)
            return names.isEmpty ? "-" : names.joined(separator: " ")
        }
        let capabilities = CapabilityNames.all.indices.compactMap { number -> Matrix.Row? in
            let cells = [sets(left, number), sets(right, number)]
            return cells == ["-", "-"] ? nil : Matrix.Row("CAP_" + CapabilityNames.all[number], cells, differs: cells[0] != cells[1])
        }
        let kinds = Set(left.namespaces.keys).union(right.namespaces.keys).sorted()
        let namespaces = kinds.map { kind in
            let cells = [left, right].map { ProcessFacts.namespace(kind, $0, scene) ?? "-" }
            return Matrix.Row(kind, cells, differs: cells[0] != cells[1])
        }
        let engine = scene.runner == .podman ? "podman" : "Docker"
        return [
            Matrix(id: "capabilities", title: "Capabilities", columns: ["capability", engine, "d2a"], rows: capabilities),
            Matrix(id: "namespaces", title: "Namespaces", columns: ["namespace", engine, "d2a"], rows: namespaces),
        ]
    }
}

extension ProcessFacts {
    /// How the image's own program ended on both sides.
    mutating func compare(_ left: RunRecord, _ right: RunRecord, _ stopSignal: StopSignal) {
        // Both refuse, each in its own words.
        if left.refusal != nil, right.refusal != nil { return compare(.start, "", "refused", "refused") }
        guard left.refusal == nil, right.refusal == nil else {
            return compare(.start, "", left.refusal ?? Self.ending(left), right.refusal ?? Self.ending(right))
        }
        compare(.start, "", "started", "started")
        compare(.stop, "", Self.stop(left, stopSignal), Self.stop(right, stopSignal))
        // What was killed because it didn't end by itself ended by our own doing.
        let isKilled = left.stop == .killed || right.stop == .killed
        if !isKilled { compare(.end, "status", left.status.map(String.init), right.status.map(String.init)) }
        // The engine doesn't tell a signal from an exit code.
        if !isKilled, let one = left.signal, let other = right.signal { compare(.end, "signal", String(one), String(other)) }
        let isWhole = left.stop == nil && right.stop == nil
        for (name, one, other) in [("standard output", left.output, right.output), ("standard error", left.errors, right.errors)] {
            compare(.output, name, one, other, isWhole: isWhole)
        }
    }

    /// Of a program that only one side has started: `started, and ended with 1: exec /x: exec format error`.
    private static func ending(_ record: RunRecord) -> String {
        let line = record.errors.beginning.isEmpty ? record.output.beginning : record.errors.beginning
        let said = line.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.last.map { ": " + String(decoding: $0.prefix(200), as: UTF8.self) } ?? ""
        return "started, and ended with \(record.status ?? 0)\(said)"
    }

    private static func stop(_ record: RunRecord, _ signal: StopSignal) -> String {
        switch record.stop {
        case nil: "ended by itself"
        case .ended: record.status == 128 + signal.number ? "ended by \(signal.name) itself" : "ended when it was told to"
        case .killed: "was killed: it didn't end when it was told to"
        }
    }

    /// - Parameter isWhole: whether both programs ended by themselves; else one may have written for longer than the other.
    private mutating func compare(_ aspect: ProcessFact.Aspect, _ name: String, _ left: OutputRecord, _ right: OutputRecord, isWhole: Bool) {
        let same = isWhole ? left.sha256 == right.sha256 : left.beginning.starts(with: right.beginning) || right.beginning.starts(with: left.beginning)
        if same { return compare(aspect, name, "the same", "the same") }
        // What is shown begins a little before the first byte that differs.
        let common = zip(left.beginning, right.beginning).prefix { $0 == $1 }.count
        let start = max(0, common - 20)
        func shown(_ record: OutputRecord) -> [UInt8] {
            let part = record.beginning.dropFirst(start).prefix(200)
            return Array("\(record.count) bytes, sha256 \(record.sha256.prefix(12)), from \(start): ".utf8) + part
        }
        compare(aspect, Array(name.utf8), shown(left), shown(right))
    }
}
