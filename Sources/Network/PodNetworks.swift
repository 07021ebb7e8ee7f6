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
    ///   - bandwidth: how many bytes a second each network may bring, and take; all where nil.
    ///   - pod: the pod's directory.
    /// - Throws: ``NetworkError``
    public static func make(_ choice: NetworkChoice, ports: [ForwardedPort], bandwidth: Int64? = nil, uuid: String, pod: Directory) throws -> PodNetworks {
        let chosen = try NetworkConfiguration.chosen(choice, from: NetworkConfiguration.all(in: NetworkConfiguration.directories()))
        var networks = PodNetworks(uuid: uuid, namespace: "/run/netns/d2a-\(uuid)", attachments: [])
        let forwarding = chosen.firstIndex { $0.0.masquerades } ?? chosen.count - 1
        var planned: [NetworkAttachment] = []
        for (index, (network, arguments)) in chosen.enumerated() {
            var plugins = network.plugins
            if index == forwarding, !ports.isEmpty {
                Self.add("portMappings", .array(ports.map(\.mapping)), by: ["type": .string("portmap"), "snat": .bool(true)], to: &plugins)
            }
            if let bandwidth { Self.add("bandwidth", Self.rates(bandwidth), by: ["type": .string("bandwidth")], to: &plugins) }
            planned.append(
                NetworkAttachment(
                    network: network.name, cniVersion: network.version, interface: "eth\(index)", arguments: arguments,
                    plugins: plugins))
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

    /// A capability (CNI `CONVENTIONS.md`) is the matter of a plugin that says it has it, else of the usual one after all others.
    private static func add(_ capability: String, _ value: JSONValue, by usual: [String: JSONValue], to plugins: inout [JSONValue]) {
        func told(_ plugin: [String: JSONValue]) -> JSONValue {
            var (plugin, settings) = (plugin, [String: JSONValue]())
            if case .object(let others)? = plugin["runtimeConfig"] { settings = others }
            settings[capability] = value
            plugin["runtimeConfig"] = .object(settings)
            return .object(plugin)
        }
        var isTold = false
        for (index, plugin) in plugins.enumerated() where plugin["capabilities"]?[capability] == .bool(true) {
            guard case .object(let members) = plugin else { continue }
            plugins[index] = told(members)
            isTold = true
        }
        if !isTold { plugins.append(told(usual.merging(["capabilities": .object([capability: .bool(true)])]) { $1 })) }
    }

    /// Whether networks' bandwidth can be limited.
    public static var limitsBandwidth: Bool { Plugin.path("bandwidth") != nil }

    /// As the plugin `bandwidth` is told: bits, of which a tenth of a second's may come at once, within what the plugin and the kernel take.
    private static func rates(_ bytes: Int64) -> JSONValue {
        let bits = bytes.multipliedReportingOverflow(by: 8)
        let rate = bits.overflow ? Int64.max : bits.partialValue
        let burst = min(max(rate / 10, 512 << 10), 8 << 30)
        return .object(["ingressRate": .integer(rate), "ingressBurst": .integer(burst), "egressRate": .integer(rate), "egressBurst": .integer(burst)])
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
