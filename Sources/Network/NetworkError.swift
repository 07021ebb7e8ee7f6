import Diagnostics
import Files

/// A network that can't be had.
public enum NetworkError: DiagnosedError, Equatable {
    case badChoice(String)
    case notFound([String])
    case badConfiguration(file: String, reason: String)
    case noPlugin(String, network: String)
    case pluginFailed(String, network: String, reason: String)
    /// Who isn't root can make no network.
    case needsRoot
    case namespace(what: String, path: String, code: Int32)
    /// A port of the command line that no app has.
    case noPort(String)
    case ambiguousPort(String)
    case portTwice(UInt16, protocol: String)
    case noForwarding(network: String)
    case badAddress(String, option: String)
    case badOption(String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badChoice(let text):
            Diagnosis("\"\(text)\" is no network", hint: "it is host, none, default, default-restricted, all, or NAME[:KEY=VALUE;…],…")
        case .notFound(let names):
            Diagnosis(
                "networks not found: \(names.joined(separator: ", "))", hint: "networks are configured in /etc/d2a/net.d, /etc/rkt/net.d and /etc/cni/net.d")
        case .badConfiguration(let file, let reason): Diagnosis("\(file) is no configuration of a network: \(reason)")
        case .noPlugin(let plugin, let network):
            Diagnosis(
                "the plugin \(plugin) of the network \(network) isn't there",
                hint: "install containernetworking-plugins, or set CNI_PATH; --net=host and --net=none need none")
        case .pluginFailed(let plugin, let network, let reason): Diagnosis("the plugin \(plugin) can't make the network \(network): \(reason)")
        case .needsRoot:
            Diagnosis(
                "only root can give a pod a network of its own, or lead ports to it",
                hint: "run it with sudo, or without --port and with --net=host or --net=none")
        case .namespace(let what, let path, let code): Diagnosis("can't \(what) the network namespace \(path): \(errorText(code))")
        case .noPort(let name): Diagnosis("port name \"\(name)\" could not be found in any apps", hint: "ports of Docker images are called 80-tcp")
        case .ambiguousPort(let name): Diagnosis("several apps have a port \"\(name)\"")
        case .portTwice(let port, let name): Diagnosis("the host's port \(port)/\(name) is to lead to two ports")
        case .noForwarding(let network): Diagnosis("--port flag does not work with '\(network)' networking")
        case .badAddress(let text, let option): Diagnosis("Invalid IP passed to \(option): \(text)")
        case .badOption(let reason): Diagnosis(reason)
        }
    }
}
