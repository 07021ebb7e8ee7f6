import AppC
import CLinux
import Files
import Glibc

/// The networks of a pod with a network namespace of its own, as they are made, kept in the pod's directory, and undone.
///
/// The namespace is a file in `/run/netns`, as those of `ip netns`. What is to be undone is written down before it is done.
public struct PodNetworks: Sendable, Equatable, Codable {
    /// The pod's, by which plugins know it.
    public let uuid: String
    /// A path that leads to the namespace.
    public let namespace: String
    public private(set) var attachments: [NetworkAttachment]

    /// In the pod's directory.
    static let file = "net-info.json"

    /// Makes a namespace and brings it into the networks. Where that fails nothing of it is left.
    ///
    /// - Parameters:
    ///   - pod: the pod's directory.
    ///   - before: what to do with the namespace before there are networks.
    /// - Throws: ``NetworkError``
    public static func make(_ choice: NetworkChoice, ports: [ForwardedPort], uuid: String, pod: Directory) throws -> PodNetworks {
        let chosen = try NetworkConfiguration.chosen(choice, from: NetworkConfiguration.all(in: NetworkConfiguration.directories()))
        var networks = PodNetworks(uuid: uuid, namespace: "/run/netns/d2a-\(uuid)", attachments: [])
        let forwarding = chosen.firstIndex { $0.0.masquerades } ?? chosen.count - 1
        var planned: [NetworkAttachment] = []
        for (index, (network, arguments)) in chosen.enumerated() {
            planned.append(
                NetworkAttachment(
                    network: network.name, cniVersion: network.version, interface: "eth\(index)", arguments: arguments,
                    plugins: plugins(of: network, ports: index == forwarding ? ports : [])))
        }
        // Said before anything is made.
        for attachment in planned {
            for type in attachment.plugins.compactMap({ $0["type"]?.string }) where Plugin.path(type) == nil {
                throw NetworkError.noPlugin(type, network: attachment.network)
            }
        }
        do {
            try networks.save(in: pod)
            try networks.makeNamespace()
            for attachment in planned {
                networks.attachments.append(attachment)
                try networks.save(in: pod)
                let place = networks.attachments.count - 1
                networks.attachments[place].result = try attachment.run(.add, container: uuid, namespace: networks.namespace)
            }
            try networks.save(in: pod)
        } catch {
            try? networks.remove(from: pod)
            throw error
        }
        return networks
    }

    /// Whether what the usual network takes is there.
    public static func hasDefault() -> Bool { ["ptp", "host-local"].allSatisfy { Plugin.path($0) != nil } }

    /// Those of a pod; nil where it has none of its own.
    public static func of(_ pod: Directory) -> PodNetworks? {
        guard let bytes = try? pod.file(file).readAll(limit: 1 << 20) else { return nil }
        return try? CanonicalJSON.decode(PodNetworks.self, from: bytes)
    }

    /// Takes the pod out of its networks, and removes its namespace and the note of both. Whoever finds the pod's directory can do
    /// so, as often as it takes.
    /// - Throws: ``NetworkError`` where a plugin failed; the namespace is gone then, and the note stays.
    public func remove(from pod: Directory) throws {
        var failure: (any Error)?
        let there = access(namespace, F_OK) == 0
        for attachment in attachments.reversed() {
            // Without a namespace there is no interface; leases and rules are still given back.
            do { _ = try attachment.run(.delete, container: uuid, namespace: there ? namespace : "") } catch {
                // What never came about may be beyond undoing too.
                if attachment.result != .null { failure = failure ?? error }
            }
        }
        _ = system_unmount(namespace)
        unlink(namespace)
        if let failure { throw failure }
        try pod.remove(Self.file)
    }

    public var addresses: [String] { attachments.flatMap(\.addresses) }

    // MARK: Making

    private func save(in pod: Directory) throws { try pod.write(CanonicalJSON.encode(self), atomicallyTo: Self.file, mode: 0o640) }

    /// Ports are the matter of a plugin that says it can do that, else of `portmap` after all others.
    private static func plugins(of network: NetworkConfiguration, ports: [ForwardedPort]) -> [JSONValue] {
        guard !ports.isEmpty else { return network.plugins }
        var (plugins, isTold) = (network.plugins, false)
        let mappings = JSONValue.object(["portMappings": .array(ports.map(\.mapping))])
        for (index, plugin) in plugins.enumerated() where plugin["capabilities"]?["portMappings"] == .bool(true) {
            guard case .object(var members) = plugin else { continue }
            members["runtimeConfig"] = mappings
            plugins[index] = .object(members)
            isTold = true
        }
        if isTold { return plugins }
        let portmap: [String: JSONValue] = [
            "type": .string("portmap"), "capabilities": .object(["portMappings": .bool(true)]), "snat": .bool(true), "runtimeConfig": mappings,
        ]
        return plugins + [.object(portmap)]
    }

    private func makeNamespace() throws(NetworkError) {
        func check(_ code: Int32, _ what: String) throws(NetworkError) {
            if code < 0 { throw .namespace(what: what, path: namespace, code: errno) }
        }
        mkdir("/run/netns", 0o755)
        let pin = open(namespace, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o444)
        try check(pin, "make a file for")
        close(pin)
        let own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        try check(own, "remember our own beside")
        defer { close(own) }
        let made = system_make_network()
        let code = made == 0 ? system_bind("/proc/thread-self/ns/net", namespace) : made
        let reason = errno
        try check(system_enter_network(own), "come back from")
        if code != 0 { throw .namespace(what: "make", path: namespace, code: reason) }
    }
}
