import Diagnostics

/// The manifest of an App Container Image (appc spec 0.8.11, `aci.md#image-manifest-schema`).
public struct ImageManifest: Sendable, Hashable, Codable {
    public var acKind = "ImageManifest"
    public var acVersion = "0.8.11"
    /// An AC Identifier: `registry-1.docker.io/library/busybox`.
    public var name: String
    public var labels: [NamedValue]?
    public var app: App?
    public var annotations: [NamedValue]?
    public var dependencies: [Dependency]?
    public var pathWhitelist: [String]?

    public init(name: String) { self.name = name }

    public func label(_ name: String) -> String? { labels?.first { $0.name == name }?.value }
    public func annotation(_ name: String) -> String? { annotations?.first { $0.name == name }?.value }
}

/// A label, an annotation or an environment variable.
public struct NamedValue: Sendable, Hashable, Codable {
    public var name: String
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// An image that this one is built on (`aci.md#dependency-matching`).
public struct Dependency: Sendable, Hashable, Codable {
    public var imageName: String
    public var imageID: String?
    public var labels: [NamedValue]?
    public var size: UInt64?

    public init(imageName: String, imageID: String? = nil, labels: [NamedValue]? = nil, size: UInt64? = nil) {
        self.imageName = imageName
        self.imageID = imageID
        self.labels = labels
        self.size = size
    }
}

/// How to run an image (`aci.md#image-manifest-schema`, field `app`).
public struct App: Sendable, Hashable, Codable {
    /// Program and arguments; absent or empty where the image names none.
    public var exec: [String]?
    /// A name, a number, or the path of a file whose owner it is.
    public var user: String
    public var group: String
    public var supplementaryGIDs: [UInt32]?
    public var workingDirectory: String?
    public var environment: [NamedValue]?
    public var mountPoints: [MountPoint]?
    public var ports: [Port]?
    public var eventHandlers: [EventHandler]?
    public var isolators: [Isolator]?
    public var userAnnotations: [String: String]?
    public var userLabels: [String: String]?

    public init(user: String = "0", group: String = "0") {
        self.user = user
        self.group = group
    }
}

public struct MountPoint: Sendable, Hashable, Codable {
    /// An AC Name: `volume-var-lib`.
    public var name: String
    /// Absolute, in the image.
    public var path: String
    public var readOnly: Bool?

    public init(name: String, path: String, readOnly: Bool? = nil) {
        self.name = name
        self.path = path
        self.readOnly = readOnly
    }
}

public struct Port: Sendable, Hashable, Codable {
    /// An AC Name: `80-tcp`.
    public var name: String
    public var `protocol`: String
    /// 1–65535, the first of `count`.
    public var port: UInt16
    public var count: UInt16?
    public var socketActivated: Bool?

    public init(name: String, protocol: String, port: UInt16, count: UInt16 = 1, socketActivated: Bool = false) {
        self.name = name
        self.protocol = `protocol`
        self.port = port
        self.count = count
        self.socketActivated = socketActivated
    }
}

public struct EventHandler: Sendable, Hashable, Codable {
    /// `pre-start` or `post-stop`.
    public var name: String
    public var exec: [String]
}

public struct Isolator: Sendable, Hashable, Codable {
    public var name: String
    public var value: JSONValue

    public init(name: String, value: JSONValue) {
        self.name = name
        self.value = value
    }
}
