import ArgumentParser

/// How servers are spoken to, how long they are waited for, and how often they are asked again.
public struct ServerOptions: ParsableArguments, Sendable {
    @Flag(help: "Don't verify the registry's TLS certificate.")
    public var insecureSkipVerify = false

    @Flag(help: "Talk plain HTTP to registries that don't speak HTTPS.")
    public var insecureAllowHttp = false

    @Option(help: ArgumentHelp("Wait so long for a connection. (default: 20)", valueName: "seconds"))
    public var connectTimeout: Int?

    @Option(help: ArgumentHelp("Give a transfer up that brings nothing for so long. (default: 60)", valueName: "seconds"))
    public var stallTimeout: Int?

    @Option(help: ArgumentHelp("Ask again so often after a failure that may pass. (default: 4)", valueName: "n"))
    public var retry: Int?

    @Option(help: ArgumentHelp("Wait so long before asking again, twice as long each further time. (default: 0.5)", valueName: "seconds"))
    public var retryDelay: Double?

    public init() {}

    public func validate() throws {
        for (name, value) in [("--connect-timeout", connectTimeout), ("--stall-timeout", stallTimeout)] where !(1...86400).contains(value ?? 1) {
            throw ValidationError("\(name) \(value!): give a number of seconds from 1 to 86400")
        }
        guard (0...100).contains(retry ?? 0) else { throw ValidationError("--retry \(retry!): give a number from 0 to 100") }
        guard (0...3600).contains(retryDelay ?? 0) else { throw ValidationError("--retry-delay \(retryDelay!): give a number of seconds from 0 to 3600") }
    }

    /// The same as words.
    public var arguments: [String] {
        var result: [String] = []
        if insecureSkipVerify { result.append("--insecure-skip-verify") }
        if insecureAllowHttp { result.append("--insecure-allow-http") }
        if let connectTimeout { result.append("--connect-timeout=\(connectTimeout)") }
        if let stallTimeout { result.append("--stall-timeout=\(stallTimeout)") }
        if let retry { result.append("--retry=\(retry)") }
        if let retryDelay { result.append("--retry-delay=\(retryDelay)") }
        return result
    }
}
