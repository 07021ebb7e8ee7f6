import AppC

/// A port of the host's that leads to one of the pod's.
public struct ForwardedPort: Sendable, Equatable, Codable {
    /// `tcp`, `udp` or `sctp`.
    public var `protocol`: String
    /// Every address of the host's where nil.
    public var hostIP: String?
    public var hostPort: UInt16
    public var podPort: UInt16

    /// The pod's ports with those of its apps (appc spec `pods.md`): each of a range that an app's port stands for.
    /// - Parameter apps: the apps as they are run.
    /// - Throws: ``NetworkError``
    public static func all(_ ports: [PodPort], of apps: [App]) throws(NetworkError) -> [ForwardedPort] {
        var result: [ForwardedPort] = []
        for port in ports {
            let found = port.podPort.map { [$0] } ?? apps.flatMap { $0.ports ?? [] }.filter { $0.name == port.name }
            guard let target = found.first else { throw .noPort(port.name) }
            guard found.count == 1 else { throw .ambiguousPort(port.name) }
            for number in 0..<max(1, target.count ?? 1) {
                let (host, hostOverflow) = port.hostPort.addingReportingOverflow(number)
                let (pod, podOverflow) = target.port.addingReportingOverflow(number)
                guard !hostOverflow, !podOverflow else { throw .badOption("the port \"\(port.name)\" stands for ports beyond 65535") }
                let ip = port.hostIP.flatMap { ["", "0.0.0.0"].contains($0) ? nil : $0 }
                if let ip, !IPAddress.isValid(ip) { throw .badAddress(ip, option: "--port") }
                let new = ForwardedPort(protocol: target.protocol.lowercased(), hostIP: ip, hostPort: host, podPort: pod)
                guard !result.contains(where: { new.collides(with: $0) }) else { throw .portTwice(host, protocol: new.protocol) }
                result.append(new)
            }
        }
        return result
    }

    private func collides(with other: ForwardedPort) -> Bool {
        (self.protocol, hostPort) == (other.protocol, other.hostPort) && (hostIP == other.hostIP || hostIP == nil || other.hostIP == nil)
    }

    /// As the plugin `portmap` is told (CNI `CONVENTIONS.md`, capability `portMappings`).
    var mapping: JSONValue {
        var members: [String: JSONValue] = [
            "hostPort": .integer(Int64(hostPort)), "containerPort": .integer(Int64(podPort)), "protocol": .string(self.protocol),
        ]
        if let hostIP { members["hostIP"] = .string(hostIP) }
        return .object(members)
    }
}
