import ArgumentParser
import Program
import Registries

/// Which image of a registry is wanted, and what is kept of it.
public struct RegistryChoices: ParsableArguments, Sendable {
    @Option(help: ArgumentHelp("Which platform of a multi-platform image. (default: this machine's)", valueName: "os/arch[/variant]"))
    public var platform: String?

    @OptionGroup public var servers: ServerOptions

    @Option(help: ArgumentHelp("Which registry protocol to speak: v1, v2 or auto. (default: auto)", valueName: "version"))
    public var registryVersion: RegistryVersion?

    @Flag(help: "Keep no downloads for the next time, and use none.")
    public var noCache = false

    @Option(help: ArgumentHelp("Keep at most so many bytes of downloads: 500M, 20G. (default: 10G)", valueName: "size"))
    public var cacheSize: ByteCount?

    public init() {}

    /// The same as words, for a helper that is given the cache, or none.
    public var arguments: [String] {
        var result = servers.arguments
        if let platform { result.append("--platform=\(platform)") }
        if let registryVersion { result.append("--registry-version=\(registryVersion.rawValue)") }
        if let cacheSize { result.append("--cache-size=\(cacheSize.bytes)") }
        return result
    }
}

extension RegistryVersion: ExpressibleByArgument {}
