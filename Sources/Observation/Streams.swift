import AppC
import CLinux
import Files
import Glibc
import Subprocess

/// What a program that is watched reads and writes: it reads nothing, and d2a-image takes what it writes (`capture`).
final class CapturedStreams {
    /// What the program gets as 0, 1 and 2.
    private(set) var own: [OpenFile] = []
    private let report: OpenFile
    private var helper: pid_t = 0

    /// - Parameter limit: how many bytes of each stream are kept.
    init(limit: Int) throws {
        report = try OpenFile.inMemory("report")
        let (output, errors) = (try Self.pipe(), try Self.pipe())
        own = [try OpenFile.open("/dev/null"), output.write, errors.write]
        try start([output.read, errors.read], limit: limit)
    }

    /// All three are a terminal.
    /// - Parameters:
    ///   - master: our side of it.
    ///   - slave: its side, where it isn't the runtime that gives it to the program.
    init(master: OpenFile, slave: OpenFile?, limit: Int) throws {
        report = try OpenFile.inMemory("report")
        own = slave.map { [$0, $0, $0] } ?? []
        try start([master], limit: limit)
    }

    private func start(_ sources: [OpenFile], limit: Int) throws {
        helper = try startProgram(
            companionProgram("d2a-image"), ["capture", "--limit=\(limit)", String(sources.count)], descriptors: [report] + sources)
    }

    static func pipe() throws(FileError) -> (read: OpenFile, write: OpenFile) {
        var ends: [Int32] = [-1, -1]
        guard system_pipe(&ends) == 0 else { throw FileError("make", "a pipe") }
        return (OpenFile(descriptor: ends[0], path: "a pipe"), OpenFile(descriptor: ends[1], path: "a pipe"))
    }

    /// The program has what it needs: from now on its end is the end of the streams.
    func handOver() { own = [] }

    /// - Returns: what came by standard output and standard error.
    func finish() throws -> (output: OutputRecord, errors: OutputRecord) {
        own = []
        var status: Int32 = 0
        while waitpid(helper, &status, 0) < 0, errno == EINTR {}
        helper = 0
        guard status == 0 else { throw SubprocessError.failed(status: exitCode(status)) }
        try report.seek(to: 0)
        let records = try CanonicalJSON.decode([OutputRecord].self, from: report.readAll(limit: 64 << 20))
        return (records[0], records.count > 1 ? records[1] : OutputRecord())
    }

    deinit {
        guard helper > 0 else { return }
        kill(helper, SIGKILL)
        waitpid(helper, nil, 0)
    }
}

/// A new terminal of the usual size.
struct NewTerminal {
    let master: OpenFile
    let slave: OpenFile

    init() throws(FileError) {
        var ends: [Int32] = [-1, -1]
        guard system_new_terminal(&ends) == 0 else { throw FileError("make", "a terminal") }
        (master, slave) = (OpenFile(descriptor: ends[0], path: "a terminal"), OpenFile(descriptor: ends[1], path: "a terminal"))
        Self.setSize(of: master)
    }

    static func setSize(of terminal: OpenFile) {
        var size = winsize(ws_row: UInt16(RunConditions.terminalSize.rows), ws_col: UInt16(RunConditions.terminalSize.columns), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal.descriptor, UInt(TIOCSWINSZ), &size)
    }
}
