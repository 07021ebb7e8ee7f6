import AppC
import ArgumentParser
import Compare
import Files
import Glibc
import Observation

/// An engine that images are compared with: images and containers are put into it under this process's mark, and taken away again.
struct ComparedEngine: Sendable {
    let name: String
    /// nil: where the environment says.
    private let address: String?
    private static let mark = ProcessMark()

    /// - Returns: nil for runtimes that are no engines.
    init?(_ counterpart: Counterpart) {
        guard counterpart.isEngine else { return nil }
        (name, address) = (counterpart == .podman ? "podman" : "Docker", counterpart.address)
    }

    /// A name for an image that nobody else has.
    func newImageName() -> String { "\(EngineLeftover.imageName):\(Self.mark)-" + String(UInt64.random(in: 0...UInt64.max), radix: 16) }

    private func ask(_ command: String, _ words: [String] = [], _ descriptors: [any DescriptorOwner] = []) throws {
        try Helper.run([command] + (address.map { ["--at=\($0)"] } ?? []) + words, descriptors: descriptors)
    }

    private func answer<T: Decodable>(_ type: T.Type, _ command: String, _ words: [String] = [], _ descriptors: [any DescriptorOwner] = []) throws -> T {
        let report = try OpenFile.inMemory("report")
        try ask(command, words, [report] + descriptors)
        return try Helper.read(type, from: report)
    }

    /// nil where no engine answers.
    func version() throws -> String? {
        let missing: Int32 = 9
        do { return try answer(String.self, "engine-version", ["--missing=\(missing)"]) } catch let status as ExitCode where status.rawValue == missing {
            return nil
        }
    }

    /// - Parameters:
    ///   - name: what the image is called in the archive.
    ///   - id: what the engine calls it.
    func load(_ archive: OpenFile, _ name: String, id: String) throws -> EngineLoad {
        try answer(EngineLoad.self, "engine-load", ["--id=\(id)", "--", name], [archive])
    }

    /// The tree of a container of the image, in a file; nothing of it stays.
    func export(_ archive: OpenFile, _ name: String, into output: OpenFile, in directory: Directory) throws -> EngineReport {
        let report = try directory.unnamedFile()
        try ask("engine-export", ["--name=\(name)", "--mark=\(Self.mark)"], [output, report, archive])
        return try Helper.read(EngineReport.self, from: report)
    }

    func run(_ image: String, _ arguments: [String], probe: String?, _ conditions: RunConditions) throws -> RunRecord {
        let request = try OpenFile.inMemory("request")
        try request.write(
            CanonicalJSON.text(EngineRun(image: image, arguments: arguments, probe: probe, conditions: conditions, mark: Self.mark.description)))
        try request.seek(to: 0)
        return try answer(RunRecord.self, "engine-run", [], [request])
    }

    func forget(_ image: String) { try? ask("engine-forget", ["--", image]) }

    /// Takes away what comparisons have left that were killed, of those that can be told: they ran where this one runs, and don't any more.
    func sweep() {
        guard let found = try? answer([EngineLeftover].self, "engine-leftovers") else { return }
        // Containers come first: they hold their images.
        for leftover in found where ProcessMark(leftover.mark)?.isOfTheDead == true {
            if let container = leftover.container { try? ask("engine-forget", ["--container", "--", container]) }
            if let image = leftover.image { forget(image) }
        }
    }
}

/// Names a process, also for those that come after it.
struct ProcessMark: CustomStringConvertible {
    /// Of the machine's start, so that it names no process of another machine.
    private let boot: String
    /// Where its number is one.
    private let namespace: String
    private let number: pid_t
    /// When it was started, as the kernel counts.
    private let start: String

    init() {
        (boot, namespace) = (Self.currentBoot, Self.currentNamespace)
        number = getpid()
        start = Self.start(of: number) ?? "0"
    }

    /// - Parameter text: as ``description``, and whatever follows.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, let number = pid_t(parts[2]), number > 0 else { return nil }
        (boot, namespace, self.number, start) = (parts[0], parts[1], number, parts[3])
    }

    var description: String { "\(boot)-\(namespace)-\(number)-\(start)" }

    /// Whether it is certain that it has ended.
    var isOfTheDead: Bool {
        !Self.currentBoot.isEmpty && boot == Self.currentBoot && namespace == Self.currentNamespace && Self.start(of: number) != start
    }

    private static let currentBoot = String(
        String(decoding: (try? OpenFile.open("/proc/sys/kernel/random/boot_id").readAll(limit: 64)) ?? [], as: UTF8.self).prefix { $0 != "-" })

    private static let currentNamespace: String = {
        var status = stat()
        return stat("/proc/self/ns/pid", &status) == 0 ? String(status.st_ino) : "0"
    }()

    /// nil where there is no such process (proc_pid_stat(5), field 22).
    private static func start(of number: pid_t) -> String? {
        guard let text = try? OpenFile.open("/proc/\(number)/stat").readAll(limit: 4096), let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count > 19 ? String(decoding: fields[19], as: UTF8.self) : nil
    }
}
