import AppC
import ArgumentParser
import Program

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the versions of this program and of the appc spec.")

    @Flag(help: "Print JSON.") var json = false

    private struct Versions: Encodable {
        var version = programVersion
        var appcVersion = specVersion
    }

    func run() throws {
        if Rkt.isInvoked, !json { return print(Rkt.version) }
        print(json ? try CanonicalJSON.text(Versions()) : "d2a \(versionText)")
    }
}
