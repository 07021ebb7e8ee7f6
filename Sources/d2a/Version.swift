import ArgumentParser

struct Version: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the versions of this program and of the appc spec.")

    func run() { print("d2a version 0.1.0\nappc version 0.8.11") }
}
