import AppC
import Files
import Glibc

/// A network as its file has it (CNI specification 1.0, `SPEC.md#section-1-network-configuration-format`): plugins that run in order.
public struct NetworkConfiguration: Sendable, Equatable {
    public var name: String
    /// 0.3.1 at least: before, plugins can't follow one another.
    public var version: String
    /// One object a plugin.
    public var plugins: [JSONValue]

    /// - Throws: ``NetworkError/badConfiguration(file:reason:)``
    public init(_ bytes: [UInt8], file: String) throws(NetworkError) {
        guard let value = try? CanonicalJSON.decode(JSONValue.self, from: bytes), case .object(let members) = value else {
            throw .badConfiguration(file: file, reason: "it is no JSON object")
        }
        guard let name = members["name"]?.string, Self.isName(name) else { throw .badConfiguration(file: file, reason: "it has no usable name") }
        self.name = name
        version = Self.version(members["cniVersion"]?.string)
        if case .array(let plugins)? = members["plugins"] { self.plugins = plugins } else { plugins = [value] }
        for plugin in plugins {
            guard let type = plugin["type"]?.string, !type.isEmpty, !type.contains("/"), type != ".." else {
                throw .badConfiguration(file: file, reason: "a plugin has no type")
            }
        }
        if plugins.isEmpty { throw .badConfiguration(file: file, reason: "it has no plugins") }
    }

    /// Whether the network hides its addresses behind the host's, so that ports of the host's are best led there.
    var masquerades: Bool { plugins.contains { $0["ipMasq"] == .bool(true) } }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 128 && name.first != "." && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    }

    private static func version(_ text: String?) -> String {
        guard let text, !["0.1.0", "0.2.0", "0.3.0"].contains(text) else { return "0.3.1" }
        return text
    }

    // MARK: Those of this machine

    /// rkt's two, which a file may replace.
    static let builtin: [NetworkConfiguration] = [
        #"{"name":"default","cniVersion":"0.4.0","type":"ptp","ipMasq":true,"#
            + #""ipam":{"type":"host-local","subnet":"172.16.28.0/24","routes":[{"dst":"0.0.0.0/0"}]}}"#,
        #"{"name":"default-restricted","cniVersion":"0.4.0","type":"ptp","ipMasq":false,"ipam":{"type":"host-local","subnet":"172.31.0.0/16"}}"#,
    ].map { try! NetworkConfiguration(Array($0.utf8), file: "built in") }

    /// Directories of configuration files, those that win first.
    public static func directories() -> [String] {
        if let paths = environmentVariable("NETCONFPATH") { return paths.split(separator: ":").map(String.init) }
        return ConfigurationDirectories.local.map { $0 + "/net.d" } + ["/etc/cni/net.d"]
    }

    /// All networks: those of files by directory and file name, then the built-in ones that no file replaces.
    /// - Throws: ``NetworkError``, `FileError`
    public static func all(in directories: [String]) throws -> [NetworkConfiguration] {
        var result: [NetworkConfiguration] = []
        for path in directories {
            guard let directory = try? Directory.open(path) else { continue }
            for file in try directory.names() where [".conf", ".conflist", ".json"].contains(where: { file.hasSuffix($0) }) {
                let network = try NetworkConfiguration(directory.file(file).readAll(limit: 1 << 20), file: "\(path)/\(file)")
                if !result.contains(where: { $0.name == network.name }) { result.append(network) }
            }
        }
        return result + builtin.filter { one in !result.contains { $0.name == one.name } }
    }

    /// Those of a choice, with arguments for each.
    static func chosen(_ choice: NetworkChoice, from all: [NetworkConfiguration]) throws(NetworkError) -> [(NetworkConfiguration, String)] {
        switch choice {
        case .host, .none: return []
        case .all: return all.map { ($0, "") }
        case .networks(let requests):
            let missing = requests.map(\.name).filter { name in !all.contains { $0.name == name } }
            guard missing.isEmpty else { throw .notFound(missing) }
            return requests.compactMap { request in all.first { $0.name == request.name }.map { ($0, request.arguments) } }
        }
    }
}
