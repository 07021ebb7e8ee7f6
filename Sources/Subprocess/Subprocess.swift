import CLinux
import Diagnostics
import Files
import Glibc

/// Starting another program of ours failed, or it ended badly.
public enum SubprocessError: DiagnosedError, Equatable {
    case notStarted(program: String, code: Int32)
    /// It has already said why on standard error.
    case failed(status: Int32)

    public var diagnosis: Diagnosis {
        switch self {
        case .notStarted(let program, let code):
            Diagnosis(
                "can't start \(program): \(errorText(code))", hint: "it belongs to this program and should lie in ../libexec/d2a beside it: install it again")
        case .failed(let status): Diagnosis("a helper process ended with status \(status)")
        }
    }
}

/// Starts a program and waits for it.
/// - Returns: its exit code, or 128 and the signal that ended it.
public func runProgram(_ program: String, _ arguments: [String], descriptors: [any DescriptorOwner]) throws(SubprocessError) -> Int32 {
    let pid = try startProgram(program, arguments, descriptors: descriptors)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return exitCode(status)
}

/// Runs a program of PATH with its input and output in memory; standard error is ours.
/// - Parameter environment: `NAME=VALUE` each; ours where nil.
/// - Returns: its exit code as a shell has it, and at most 1 MiB of what it printed.
public func runFilter(_ program: String, _ arguments: [String], input: String, environment: [String]? = nil) throws -> (status: Int32, output: [UInt8]) {
    let (inputFile, outputFile) = (try OpenFile.inMemory(program), try OpenFile.inMemory(program))
    try inputFile.write(input)
    try inputFile.seek(to: 0)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, inputFile.descriptor, 0)
    posix_spawn_file_actions_adddup2(&actions, outputFile.descriptor, 1)
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var variables = (environment ?? []).map { strdup($0) } + [nil]
    defer { for variable in variables { free(variable) } }
    var pid = pid_t()
    let code = variables.withUnsafeMutableBufferPointer { own in
        posix_spawnp(&pid, program, &actions, nil, &words, environment == nil ? environ : own.baseAddress)
    }
    guard code == 0 else { throw SubprocessError.notStarted(program: program, code: code) }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    try outputFile.seek(to: 0)
    return (exitCode(status), try outputFile.readAll(limit: 1 << 20))
}

/// What a shell would make of a status of `waitpid`: the exit code, or 128 and the signal.
public func exitCode(_ status: Int32) -> Int32 {
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
}

/// Starts a program. The caller waits for it.
///
/// - Parameters:
///   - descriptors: this process's descriptors, which the program gets as 3, 4, 5 … in this order. It gets standard input,
///     output and error as they are, and nothing else.
///   - streams: what it gets as standard input, output and error instead, where there are three; no signal is blocked or ignored in it then.
///   - file: an open file to run in place of the one at `program`, which is its name then.
public func startProgram(
    _ program: String, _ arguments: [String], descriptors: [any DescriptorOwner], streams: [any DescriptorOwner] = [], file: OpenFile? = nil
) throws(SubprocessError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    let copies = try DescriptorCopies(streams + descriptors + (file.map { [$0] } ?? []), above: descriptors.count, for: program)
    defer { copies.close() }
    let first = streams.isEmpty ? 3 : 0
    for (index, copy) in copies.numbers.prefix(streams.count + descriptors.count).enumerated() {
        posix_spawn_file_actions_adddup2(&actions, copy, Int32(first + index))
    }
    let path = file == nil ? program : "/proc/self/fd/\(copies.numbers.last!)"
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    if !streams.isEmpty {
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        // Also those two that the C library keeps to itself, and leaves out of sigfillset: it would have them ignored.
        withUnsafeMutableBytes(of: &all) { for index in $0.indices { $0[index] = 0xFF } }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    }
    var pid = pid_t()
    let code = posix_spawn(&pid, path, &actions, &attributes, &words, environ)
    guard code == 0 else { throw .notStarted(program: program, code: code) }
    return pid
}

/// The path of a program of PATH.
/// - Throws: ``SubprocessError/notStarted(program:code:)`` where it is in none of its directories.
public func programOnPath(_ name: String) throws(SubprocessError) -> String {
    for directory in (environmentVariable("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin").split(separator: ":") where access("\(directory)/\(name)", X_OK) == 0 {
        return "\(directory)/\(name)"
    }
    throw .notStarted(program: name, code: ENOENT)
}

/// Becomes another program, which gets descriptors as ``startProgram(_:_:descriptors:file:)`` says.
public func replaceProgram(with program: String, _ arguments: [String], descriptors: [any DescriptorOwner]) throws(SubprocessError) -> Never {
    let copies = try DescriptorCopies(descriptors, above: descriptors.count, for: program)
    for (index, copy) in copies.numbers.enumerated() { dup2(copy, Int32(3 + index)) }
    var words = ([program] + arguments).map { strdup($0) } + [nil]
    execv(program, &words)
    throw .notStarted(program: program, code: errno)
}

/// Copies of descriptors with numbers above all that a program will have, so that none is overwritten by another that comes to its place.
private struct DescriptorCopies {
    private(set) var numbers: [Int32] = []

    /// - Parameter count: how many places will be taken from 3 on.
    init(_ owners: [any DescriptorOwner], above count: Int, for program: String) throws(SubprocessError) {
        for owner in owners {
            let copy = withExtendedLifetime(owner) { fcntl(owner.descriptor, F_DUPFD_CLOEXEC, Int32(3 + count)) }
            guard copy >= 0 else {
                let code = errno
                close()
                throw .notStarted(program: program, code: code)
            }
            numbers.append(copy)
        }
    }

    func close() { for number in numbers { Glibc.close(number) } }
}

/// A program that belongs to this one: in `../libexec/d2a` where it is installed, beside it where it was built.
public func companionProgram(_ name: String) -> String {
    let directory = programPath().split(separator: "/").dropLast().joined(separator: "/")
    let installed = "/\(directory)/../libexec/d2a/\(name)"
    return access(installed, X_OK) == 0 ? installed : "/\(directory)/\(name)"
}

/// The absolute path of the running program, links resolved.
public func programPath() -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    return String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
