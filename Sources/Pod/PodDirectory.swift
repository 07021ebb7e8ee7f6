import AppC
import Files
import Glibc

/// A pod's directory on disk, `pods/PHASE/UUID` of the data directory.
///
///     pod                   the pod manifest; its time is the pod's
///     pid                   of the pod's process 1, as the host sees it; its time is when the pod started
///     users                 who its root is outside, where it has users of its own
///     shifted               there where the pod's files belong to them on disk too
///     stage1                who runs it, where it isn't the built-in one
///     metadata              what the metadata service says of it
///     ready                 there once every app runs
///     exit-status           the pod's; missing where it was killed with everything that watched it
///     hosts hostname resolv.conf
///     cgroups               its control groups, a path a line, in the order of their making
///     net-info.json         its networks, where it has its own
///     volumes/NAME          empty volumes
///     shm                   shared memory of several apps
///     apps/NAME/            manifest   the image's
///                           tree       the rendered tree below the app's layer; missing where the root is a copy
///                           upper work what the app writes: its layer above the tree
///                           rootfs     the copy
///                           env        NAME=VALUE, each ending with a zero byte, for d2a enter
///                           log        its output, where it was to be kept
///                           pid        what the host calls its process
///                           status     how it ended: its exit code, or 128 and the signal, and then the signal once more
public struct PodDirectory: Sendable {
    public let uuid: String
    public private(set) var phase: PodPhase
    public let directory: Directory
    private let data: Directory

    /// Relative to the data directory.
    public var path: String { "pods/\(phase.rawValue)/\(uuid)" }

    /// Makes a pod, locked, in the phase `prepare`.
    public init(in data: Directory) throws(FileError) {
        self.data = data
        let embryos = try Self.phase(.embryo, data)
        while true {
            let uuid = PodUUID.random()
            try embryos.makeNew(uuid, mode: 0o750)
            // Until it is locked it looks like something dead, and another process may sweep it.
            let directory: Directory
            do { directory = try embryos.directory(uuid) } catch { if error.code == ENOENT { continue } else { throw error } }
            guard try directory.lock(wait: true), embryos.exists(uuid) else { continue }
            (self.uuid, self.directory, phase) = (uuid, directory, .embryo)
            break
        }
        try move(to: .prepare)
    }

    /// Opens a pod that is there. It isn't locked.
    public init(_ uuid: String, in phase: PodPhase, of data: Directory) throws(FileError) {
        (self.uuid, self.phase, self.data) = (uuid, phase, data)
        directory = try data.directory("pods/\(phase.rawValue)/\(uuid)")
    }

    static func phase(_ phase: PodPhase, _ data: Directory) throws(FileError) -> Directory { try data.make("pods/\(phase.rawValue)", mode: 0o750) }

    // MARK: Life

    /// Takes the pod's lock, which ends with the last process that has this descriptor.
    /// - Returns: false where somebody else has it.
    public func lock() throws(FileError) -> Bool { try directory.lock(wait: false) }

    /// - Throws: `FileError` with `ENOENT` where somebody else moved it first.
    public mutating func move(to next: PodPhase) throws(FileError) {
        try Self.phase(phase, data).rename(uuid, to: Self.phase(next, data), as: uuid)
        phase = next
    }

    /// Removes the directory and all in it.
    public func remove() throws(FileError) { try Self.phase(phase, data).removeTree(uuid) }

    /// What it is doing just now.
    public func state() throws(FileError) -> PodState {
        // A descriptor of its own: a lock belongs to the open directory.
        let probe = try Directory.open("/proc/self/fd/\(directory.descriptor)")
        return PodState(phase, locked: try !probe.lock(exclusive: false, wait: false))
    }

    // MARK: Files

    public func write(_ manifest: PodManifest) throws {
        // A pod doesn't outlive the machine: what a crash leaves of it is for d2a gc.
        try directory.write(CanonicalJSON.encode(manifest), atomicallyTo: "pod", mode: 0o640, durably: false)
    }

    /// - Throws: ``PodError/noManifest(uuid:)`` where it isn't there or can't be understood.
    public func manifest() throws -> PodManifest {
        guard let file = try? directory.file("pod"), let manifest = try? CanonicalJSON.decode(PodManifest.self, from: file.readAll(limit: 16 << 20)) else {
            throw PodError.noManifest(uuid: uuid)
        }
        return manifest
    }

    /// Where what belongs to an app is kept; made where it is missing.
    public func app(_ name: String) throws(FileError) -> Directory { try directory.make("apps/\(name)", mode: 0o711) }

    /// The path of something of an app's, relative to the data directory.
    public func path(_ file: String, of app: String) -> String { "\(path)/apps/\(app)/\(file)" }

    /// The decimal number that a file begins with; nil where there is none.
    public func number(_ file: String) -> Int? { numbers(file).first }

    /// Decimal numbers in a file.
    public func numbers(_ file: String) -> [Int] {
        guard let bytes = try? directory.file(file).readAll(limit: 64) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    }

    /// When a file was last written, in nanoseconds since 1970; nil where there is none.
    public func time(of file: String) -> Int? {
        guard let time = (try? directory.status(file))??.st_mtim else { return nil }
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}

/// RFC 4122 UUIDs.
public enum PodUUID {
    /// A random one (version 4).
    public static func random() -> String {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return dashed(bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }

    /// The text of a whole UUID, with or without dashes and in any case, as it is written here; nil where it is none.
    public static func canonical(_ text: String) -> String? {
        let digits = text.lowercased().filter { $0 != "-" }
        guard digits.utf8.count == 32, digits.allSatisfy(\.isHexDigit) else { return nil }
        return dashed(digits)
    }

    private static func dashed(_ digits: String) -> String {
        let characters = Array(digits)
        return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(characters[$0]) }.joined(separator: "-")
    }
}
