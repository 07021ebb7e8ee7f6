import Diagnostics

/// An appc image as people name it: `example.com/app:1.0.0,os=linux,arch=amd64` (appc spec `discovery.md`).
public struct AppName: Sendable, Hashable, CustomStringConvertible {
    /// An AC Identifier.
    public var name: String
    /// In the order given, `version` first.
    public var labels: [NamedValue]

    public init(name: String, labels: [NamedValue] = []) { (self.name, self.labels) = (name, labels) }

    /// - Throws: ``AppNameError``
    public init(_ text: String) throws(AppNameError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        let head = parts[0].split(separator: ":", omittingEmptySubsequences: false)
        guard head.count <= 2 else { throw AppNameError(text: text, reason: "it has more than one colon") }
        name = String(head[0])
        guard ACIdentifier.isValid(name) else {
            throw AppNameError(text: text, reason: "\"\(name)\" is no AC Identifier: lower-case letters, digits and - . _ ~ /")
        }
        labels = []
        var pairs = parts.dropFirst().map { $0.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) }
        if head.count == 2 { pairs.insert(["version", head[1]], at: 0) }
        for pair in pairs {
            guard pair.count == 2, ACIdentifier.isValid(String(pair[0])), pair[0] != "name", !pair[1].isEmpty else {
                throw AppNameError(text: text, reason: "\"\(pair.joined(separator: "="))\" is not LABEL=VALUE")
            }
            guard !labels.contains(where: { $0.name == pair[0] }) else { throw AppNameError(text: text, reason: "the label \(pair[0]) is there twice") }
            labels.append(NamedValue(name: String(pair[0]), value: String(pair[1])))
        }
    }

    public func label(_ name: String) -> String? { labels.first { $0.name == name }?.value }

    public var description: String {
        name + (label("version").map { ":\($0)" } ?? "") + labels.filter { $0.name != "version" }.map { ",\($0.name)=\($0.value)" }.joined()
    }
}

/// A name that no appc image can have.
public struct AppNameError: DiagnosedError, Equatable {
    public let text: String
    public let reason: String

    public var diagnosis: Diagnosis {
        Diagnosis("\"\(text)\" is not the name of an appc image: \(reason)", hint: "names look like example.com/app:1.0.0,os=linux,arch=amd64")
    }
}

/// Where an appc name leads (appc spec `discovery.md`).
public struct DiscoveredImage: Sendable, Hashable, Codable {
    public struct Endpoint: Sendable, Hashable, Codable {
        public var image: String
        public var signature: String

        public init(image: String, signature: String) { (self.image, self.signature) = (image, signature) }
    }

    /// Where the image and its signature may be, the preferred one first.
    public var endpoints: [Endpoint] = []
    /// Where keys are offered.
    public var keys: [String] = []

    public init() {}
}
