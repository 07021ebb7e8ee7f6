import ArgumentParser
import Files
import Metadata

/// `d2a metadata-service`: the metadata service, in the foreground.
struct MetadataServiceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metadata-service",
        abstract: "Serve the apps of pods what the appc spec lets them ask.",
        discussion: """
            It needs not be started: the first pod that asks for it (d2a run --mds-register) starts it, and it ends with the last. \
            Started by hand, or by systemd with its sockets, it serves until it is ended. It listens on the loopback address alone; \
            pods with a network of their own reach it inside of that.
            """)

    @Option(help: ArgumentHelp("Serve the pods on the host's network at this port.", valueName: "port")) var listenPort: UInt16 = MetadataService.port

    func run() throws { try MetadataService().serve(port: listenPort) }
}
