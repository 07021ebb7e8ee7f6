import AppC
import Files
import Glibc
import Subprocess

/// A CNI plugin: a program that takes its configuration on standard input (CNI specification 1.0, section 2).
enum Plugin {
    enum Command: String { case add = "ADD", delete = "DEL" }

    static func directories() -> [String] {
        (environmentVariable("CNI_PATH")?.split(separator: ":").map(String.init) ?? [])
            + ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/usr/lib/rkt/plugins/net"] + ConfigurationDirectories.local.map { $0 + "/net.d" }
    }

    static func path(_ type: String) -> String? { directories().map { "\($0)/\(type)" }.first { access($0, X_OK) == 0 } }

    /// - Returns: what it printed; null where that was nothing.
    /// - Throws: ``NetworkError``
    static func run(_ command: Command, _ configuration: JSONValue, network: String, container: String, namespace: String, interface: String, arguments: String)
        throws -> JSONValue
    {
        let type = configuration["type"]?.string ?? ""
        guard let path = path(type) else { throw NetworkError.noPlugin(type, network: network) }
        let environment = [
            "CNI_COMMAND=\(command.rawValue)", "CNI_CONTAINERID=\(container)", "CNI_NETNS=\(namespace)", "CNI_IFNAME=\(interface)",
            // Ours are not the only arguments a plugin may be given, and it refuses those it doesn't know.
            "CNI_ARGS=\(arguments.isEmpty ? "" : "IgnoreUnknown=1;" + arguments)", "CNI_PATH=\(directories().joined(separator: ":"))",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        let (status, output) = try runFilter(path, [], input: CanonicalJSON.text(configuration), environment: environment)
        let answer = try? CanonicalJSON.decode(JSONValue.self, from: output)
        guard status == 0 else {
            let reason = [answer?["msg"]?.string, answer?["details"]?.string].compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: ": ")
            throw NetworkError.pluginFailed(type, network: network, reason: reason.isEmpty ? "it ended with status \(status)" : reason)
        }
        return answer ?? .null
    }
}
