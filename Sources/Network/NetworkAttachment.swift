import AppC

/// A pod in a network, as it is kept for its end.
public struct NetworkAttachment: Sendable, Equatable, Codable {
    /// The network's name.
    public var network: String
    public var cniVersion: String
    /// The interface's name in the pod.
    public var interface: String
    /// `CNI_ARGS`
    public var arguments: String
    /// What each plugin is given, but for the results of those before it.
    public var plugins: [JSONValue]
    /// What the last plugin said; null until it has.
    public var result: JSONValue = .null

    /// The pod's addresses there, without the lengths of their prefixes.
    public var addresses: [String] {
        guard case .array(let all)? = result["ips"] else { return [] }
        return all.compactMap { $0["address"]?.string?.split(separator: "/").first.map(String.init) }
    }

    /// What the network says of name servers.
    public var resolver: ResolverSettings? {
        guard let dns = result["dns"] else { return nil }
        func list(_ name: String) -> [String] { if case .array(let items)? = dns[name] { items.compactMap(\.string) } else { [] } }
        let settings = ResolverSettings(
            servers: list("nameservers"), search: list("search"), options: list("options"), domain: dns["domain"]?.string ?? "")
        return settings.isEmpty ? nil : settings
    }

    func run(_ command: Plugin.Command, container: String, namespace: String) throws -> JSONValue {
        var previous = command == .delete ? result : .null
        var failure: (any Error)?
        for plugin in command == .delete ? plugins.reversed() : plugins {
            guard case .object(var members) = plugin else { continue }
            (members["name"], members["cniVersion"]) = (.string(network), .string(cniVersion))
            if previous != .null { members["prevResult"] = previous }
            do {
                let answer = try Plugin.run(
                    command, .object(members), network: network, container: container, namespace: namespace, interface: interface, arguments: arguments)
                if command == .add, answer != .null { previous = answer }
            } catch {
                // What can be undone is undone.
                guard command == .delete else { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return previous
    }
}
