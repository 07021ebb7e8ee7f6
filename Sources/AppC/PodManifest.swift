/// The manifest of a pod (appc spec 0.8.11, `pods.md#pod-manifest-schema`).
public struct PodManifest: Sendable, Hashable, Codable {
    public var acVersion = "0.8.11"
    public var acKind = "PodManifest"
    public var apps: [PodManifestApp]?
    public var volumes: [Volume]?
    public var isolators: [Isolator]?
    public var annotations: [NamedValue]?
    public var ports: [PodPort]?
    public var userAnnotations: [String: String]?
    public var userLabels: [String: String]?

    public init() {}

    public func annotation(_ name: String) -> String? { annotations?.first { $0.name == name }?.value }
}

/// An app of a pod: an image, and how it is run here.
public struct PodManifestApp: Sendable, Hashable, Codable {
    /// The image that an app is run from.
    public struct Image: Sendable, Hashable, Codable {
        public var id: String?
        public var name: String?
        public var labels: [NamedValue]?

        public init(id: String? = nil, name: String? = nil, labels: [NamedValue]? = nil) {
            self.id = id
            self.name = name
            self.labels = labels
        }
    }

    /// An AC Name, unique in the pod.
    public var name: String
    public var image: Image
    /// Replaces the image's whole `app`.
    public var app: App?
    public var readOnlyRootFS: Bool?
    public var mounts: [Mount]?
    public var annotations: [NamedValue]?

    public init(name: String, image: Image) {
        self.name = name
        self.image = image
    }
}

/// A volume of a pod at a path of an app's.
public struct Mount: Sendable, Hashable, Codable {
    /// The name of a volume of the pod.
    public var volume: String
    /// In the app's root, or the name of one of its mount points.
    public var path: String
    /// Wins over the pod's volume of that name.
    public var appVolume: Volume?

    public init(volume: String, path: String, appVolume: Volume? = nil) {
        self.volume = volume
        self.path = path
        self.appVolume = appVolume
    }
}

public struct Volume: Sendable, Hashable, Codable {
    public var name: String
    /// `host` or `empty`.
    public var kind: String
    /// Of a host's volume: an absolute path.
    public var source: String?
    public var readOnly: Bool?
    /// Of a host's volume: mounts below the source come along.
    public var recursive: Bool?
    /// Of an empty volume: octal digits, and owners.
    public var mode: String?
    public var uid: Int?
    public var gid: Int?

    public init(name: String, kind: String) {
        self.name = name
        self.kind = kind
    }
}

/// A port of the host's that leads to one of an app's.
public struct PodPort: Sendable, Hashable, Codable {
    /// The name of a port of one of the apps.
    public var name: String
    public var hostPort: UInt16
    public var hostIP: String?
    /// Another port of the pod's than the apps name.
    public var podPort: Port?

    public init(name: String, hostPort: UInt16, hostIP: String? = nil, podPort: Port? = nil) {
        self.name = name
        self.hostPort = hostPort
        self.hostIP = hostIP
        self.podPort = podPort
    }
}
