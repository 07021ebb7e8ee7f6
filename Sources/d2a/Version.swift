import ArgumentParser
import Program

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the versions of this program and of the appc spec.")

    func run() { print("d2a \(versionText)") }
}
