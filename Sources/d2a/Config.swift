import AppC
import ArgumentParser
import Configuration

/// `d2a config`: what the configuration files say together.
struct Config: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Print the configuration, merged.",
        discussion: """
            JSON files in auth.d and paths.d of /usr/lib/rkt, /usr/lib/d2a, /etc/rkt, /etc/d2a and the user's ~/.config/d2a, in the format of rkt's; what \
            is named by an option stands for both directories of its kind. \
            Where images and pods are kept only d2a's own say. Passwords are printed: who may read the files may see them.
            """)

    @OptionGroup var global: GlobalOptions
    @Option(help: "Whether to print it for people.") var prettyPrint = true

    func run() throws { print(try CanonicalJSON.text(ConfigurationFiles().merged(), pretty: prettyPrint)) }
}
