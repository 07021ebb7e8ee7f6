/// What became of an image's own program.
public struct RunRecord: Sendable, Hashable, Codable {
    /// How it took being told to stop.
    public enum Stop: String, Sendable, Codable {
        /// It ended in time.
        case ended
        /// It was killed.
        case killed
    }

    /// Why it was not started, in the words of whoever was to start it; nil where it was.
    public var refusal: String?
    /// What a shell would make of its end: the exit code, or 128 and the signal. nil where it wasn't started.
    public var status: Int32?
    /// What ended it, where the runtime tells that from an exit code.
    public var signal: Int32?
    /// How long it ran.
    public var milliseconds: Int?
    /// nil where it ended by itself.
    public var stop: Stop?
    public var output = OutputRecord()
    public var errors = OutputRecord()

    public init() {}

    public static func refused(_ reason: String) -> RunRecord {
        var record = RunRecord()
        record.refusal = reason
        return record
    }
}

/// What a program wrote to one stream.
public struct OutputRecord: Sendable, Hashable, Codable {
    /// Of how much of the beginning is kept.
    public static let limit = 65536

    /// Bytes, all of them.
    public var count = 0
    /// Of all of them, hexadecimal.
    public var sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    public var beginning: [UInt8] = []

    public init() {}
}

/// What d2a-image is told of a program to run in the Docker engine.
public struct EngineRun: Sendable, Codable {
    /// As the engine knows it.
    public var image: String
    /// In place of the image's CMD.
    public var arguments: [String]
    /// The path of d2a-probe, as the engine's machine has it, where that is to run in place of the image's program.
    public var probe: String?
    public var conditions: RunConditions
    /// Whose the container is (``EngineLeftover``).
    public var mark: String

    public init(image: String, arguments: [String], probe: String?, conditions: RunConditions, mark: String) {
        (self.image, self.arguments, self.probe, self.conditions, self.mark) = (image, arguments, probe, conditions, mark)
    }
}

/// Whether an engine has taken an image.
public struct EngineLoad: Sendable, Codable {
    /// Whether it hadn't the image.
    public var isNew: Bool
    /// Why it hasn't taken it.
    public var refusal: String?

    public init(isNew: Bool) { self.isNew = isNew }
}

/// What a comparison has put into an engine, and takes away again unless it is killed.
public struct EngineLeftover: Sendable, Hashable, Codable {
    /// Containers have it, with the mark.
    public static let label = "d2a-compare"
    /// Images have it, with a tag that begins with the mark. Whoever knows registries by names looks for it nowhere else.
    public static let imageName = "localhost/d2a-compare"

    public var container: String?
    public var image: String?
    public var mark: String

    public init(container: String? = nil, image: String? = nil, mark: String) { (self.container, self.image, self.mark) = (container, image, mark) }
}

/// The same on both sides.
public struct RunConditions: Sendable, Hashable, Codable {
    public var terminal = false
    public var readOnlyRoot = false
    /// Seconds after which a program that still runs is told to stop.
    public var patience = 5
    /// Seconds that it then has, 1 at least.
    public var grace = 5
    public var stopSignal = StopSignal.standard

    /// What a terminal is like.
    public static let terminalSize = (rows: 24, columns: 80)
    /// Where the probe is mounted.
    public static let probePath = "/.d2a-probe"

    public init() {}

    /// - Parameter seconds: until a program is told to stop.
    public func waiting(seconds: Int) -> RunConditions {
        var copy = self
        copy.patience = seconds
        return copy
    }

    public func stopping(by signal: StopSignal) -> RunConditions {
        var copy = self
        copy.stopSignal = signal
        return copy
    }
}

/// A signal by which an image wants to be stopped (Docker's `StopSignal`): `SIGTERM`, `TERM`, `15`, `RTMIN+3`.
public struct StopSignal: Sendable, Hashable, Codable {
    public var number: Int32
    public var name: String

    public static let standard = StopSignal("SIGTERM")!

    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP",
        "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ]

    /// - Returns: nil where it is no signal of Linux.
    public init?(_ text: String) {
        let upper = text.uppercased()
        let word = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        if let number = Int32(word), (1...64).contains(number) {
            self.init(number: number)
        } else if let index = Self.names.firstIndex(of: word) {
            self.init(number: Int32(index + 1))
        } else if word == "RTMIN" || word.hasPrefix("RTMIN+"), let offset = word == "RTMIN" ? 0 : Int32(word.dropFirst(6)), (0...30).contains(offset) {
            self.init(number: 34 + offset)
        } else if word == "RTMAX" || word.hasPrefix("RTMAX-"), let offset = word == "RTMAX" ? 0 : Int32(word.dropFirst(6)), (0...30).contains(offset) {
            self.init(number: 64 - offset)
        } else {
            return nil
        }
    }

    public init(number: Int32) {
        self.number = number
        name = (1...31).contains(number) ? "SIG" + Self.names[Int(number) - 1] : number >= 34 ? "SIGRTMIN+\(number - 34)" : String(number)
    }
}
