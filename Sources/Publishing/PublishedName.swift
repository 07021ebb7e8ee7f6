import AppC

/// What an image is called where discovery looks for it (appc spec `discovery.md#simple-discovery`).
public struct PublishedName: Sendable, Hashable, CustomStringConvertible {
    /// An AC Identifier whose first component is a host.
    public let name: String
    public let version: String
    public let os: String
    public let arch: String

    /// - Parameter name: in place of the manifest's.
    /// - Throws: ``PublishingError``
    public init(_ manifest: ImageManifest, name other: String? = nil) throws(PublishingError) {
        try self.init(other ?? manifest.name, labels: manifest.labels ?? [])
    }

    /// - Throws: ``PublishingError``
    public init(_ name: String, labels: [NamedValue]) throws(PublishingError) {
        self.name = name
        func label(_ name: String) -> String? { labels.first { $0.name == name }?.value }
        guard ACIdentifier.isValid(name), name.contains("/"), Self.isHost(String(name.prefix { $0 != "/" })) else { throw .notDiscoverable(name) }
        // Who asks for no version asks for the latest.
        version = label("version") ?? "latest"
        guard let os = label("os"), let arch = label("arch") else { throw .noPlatform(name) }
        (self.os, self.arch) = (os, arch)
        // Each becomes a part of a file's name and of a URL, as it is.
        for (label, value) in [("version", version), ("os", os), ("arch", arch)] where !Self.isPlain(value) {
            throw .badLabel(name: name, label: label, value: value)
        }
    }

    public var host: String { String(name.prefix { $0 != "/" }) }

    /// Below the place where images are published, with slashes.
    public var file: String { "\(name)-\(version)-\(os)-\(arch).aci" }

    public var description: String { "\(name):\(version),os=\(os),arch=\(arch)" }

    private static func isHost(_ text: String) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part.first != "-" && part.last != "-" && part.unicodeScalars.allSatisfy { isAlphanumeric($0) || $0 == "-" }
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 128 && text.unicodeScalars.allSatisfy { isAlphanumeric($0) || "-._~+".unicodeScalars.contains($0) }
    }

    private static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool { scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)) }
}

/// Under which names images are published: their own, or others.
public enum Renaming: Sendable, Equatable {
    case none
    /// All have this name.
    case name(String)
    /// The first component, a registry's host mostly, becomes this.
    case host(String)

    /// `example.com/app`: the name of all; `example.com/` or `example.com/team/`: in place of the host.
    public init(_ text: String?) {
        guard let text else {
            self = .none
            return
        }
        self = text.hasSuffix("/") ? .host(text) : .name(text)
    }

    public func applied(to name: String) -> String {
        switch self {
        case .none: name
        case .name(let other): other
        case .host(let prefix): prefix + (name.firstIndex(of: "/").map { String(name[name.index(after: $0)...]) } ?? name)
        }
    }
}
