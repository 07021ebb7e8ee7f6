import ArgumentParser
import Diagnostics
import Glibc

/// The version of all programs of this package.
public let programVersion = "0.1.0"

/// Runs a command and ends the process: 0 done, `failure` where it failed, 2 where its words made no sense.
public func runProgramMain<Command: ParsableCommand>(_ type: Command.Type, arguments: [String], program: String, failure: Int32) -> Never {
    // A reader that has gone is an error of `write`, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    do {
        var command = try type.parseAsRoot(arguments)
        try command.run()
        exit(0)
    } catch let error as any DiagnosedError {
        complain(error.diagnosis.lines(program: program))
        exit(failure)
    } catch {
        let code = type.exitCode(for: error)
        if code == .success {
            print(type.message(for: error))
            exit(0)
        }
        complain(type.fullMessage(for: error) + "\n")
        exit(code == .validationFailure ? 2 : failure)
    }
}
