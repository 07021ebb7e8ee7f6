import ArgumentParser
import Diagnostics
import Glibc

/// The version of all programs of this package.
public let programVersion = "0.1.0"

/// The version of the appc spec that they keep to.
public let specVersion = "0.8.11"

/// What every program prints of its version, after its own name.
public let versionText = "version \(programVersion)\nappc version \(specVersion)"

/// Runs a command and ends the process: 0 done, `failure` where it failed, `misuse` where its words made no sense, or the status
/// of an `ExitCode` that the command throws.
public func runProgram<Command: ParsableCommand>(_ type: Command.Type, arguments: [String], program: String, failure: Int32) -> Never {
    runProgram(type, program: program, failure: failure) { try type.parseAsRoot(arguments) }
}

/// Like ``runProgram(_:arguments:program:failure:)``, with the command that `parse` gives.
public func runProgram(
    _ type: any ParsableCommand.Type, program: String, failure: Int32, misuse: Int32 = 2, parse: () throws -> any ParsableCommand
) -> Never {
    // A reader that has gone is an error of `write`, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    hideSecrets()
    do {
        var command = try parse()
        try command.run()
        end(0)
    } catch let error as any DiagnosedError {
        complain(error.diagnosis.lines(program: program))
        end(failure)
    } catch let status as ExitCode {
        end(status.rawValue)
    } catch {
        guard type.exitCode(for: error) == .success else {
            complain(type.fullMessage(for: error) + "\n")
            end(misuse)
        }
        print(type.message(for: error))
        end(0)
    }
}

/// Ends the process at once. Threads may still be at work, downloads for one: libraries must not be torn down under them, as
/// `exit` does.
private func end(_ status: Int32) -> Never {
    fflush(nil)
    _exit(status)
}

/// Overwrites passwords among this process's words, which every user of the machine can read, as far as that is possible: from
/// now on. The words that the command is parsed from were copied before.
private func hideSecrets() {
    let words = (1..<max(1, Int(CommandLine.argc))).compactMap { CommandLine.unsafeArgv[$0] }
    var isSecret = false
    for word in words {
        var start = word
        if !isSecret {
            let text = String(cString: word)
            isSecret = ["--creds", "-creds"].contains(text)
            guard let prefix = ["--creds=", "-creds="].first(where: { text.hasPrefix($0) }) else { continue }
            start += prefix.utf8.count
        }
        memset(start, Int32(UInt8(ascii: "x")), strlen(start))
        isSecret = false
    }
}

/// Writes to standard error, where everything goes that is not a result.
public func complain(_ text: String) {
    // What was printed before stands before it, also where both streams go to one file.
    fflush(nil)
    var text = text
    text.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
}
