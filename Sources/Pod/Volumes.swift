import AppC

/// A volume where an app sees it.
public struct AppMount: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// An empty volume of the pod's, by name.
        case pod(String)
        /// A path of the host's.
        case host(String)
    }

    public var source: Source
    /// Absolute, in the app's root.
    public var path: String
    public var readOnly: Bool
    /// Mounts below the source come along.
    public var recursive: Bool

    /// Where it lies.
    /// - Parameter pod: the path of the pod's directory.
    public func source(in pod: String) -> String {
        switch source {
        case .pod(let name): "\(pod)/volumes/\(name)"
        case .host(let path): path
        }
    }

    /// The mounts of an app, those that hold others first.
    static func all(of item: PodManifestApp, _ app: App, in pod: PodManifest) throws(PodError) -> [AppMount] {
        var result: [AppMount] = []
        for mount in item.mounts ?? [] {
            let point = app.mountPoints?.first { $0.path == mount.path || $0.name == mount.path }
            let path = cleaned(mount.path.hasPrefix("/") ? mount.path : point?.path ?? "")
            guard path != "/", path != "/proc", !path.hasPrefix("/proc/"), !path.utf8.contains(0) else {
                throw .unusable(what: "place for a volume", value: mount.path)
            }
            guard let volume = mount.appVolume ?? pod.volumes?.first(where: { $0.name == mount.volume }) else {
                throw .noVolume(mount.volume, path: mount.path)
            }
            guard !result.contains(where: { $0.path == path }) else { throw .mountedTwice(path: path) }
            let source: Source = volume.kind == "host" ? .host(volume.source ?? "") : .pod(volume.name)
            result.append(
                AppMount(
                    source: source, path: path, readOnly: volume.readOnly ?? point?.readOnly ?? false,
                    recursive: volume.kind == "host" && volume.recursive ?? true))
        }
        return result.sorted { ($0.path.utf8.count, $0.path) < ($1.path.utf8.count, $1.path) }
    }

    /// Without empty components, `.` and `..`: a path of `..` leads no higher than the root.
    public static func cleaned(_ path: String) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}

/// A mount point that nobody gave a volume for: it got an empty one.
public struct ImplicitVolume: Sendable, Equatable {
    public var app: String
    public var mountPoint: String
    public var path: String
    /// The name of the volume that it got.
    public var volume: String
    /// Whether it is to begin with what the image has there, as Docker's do.
    public var isSeeded: Bool
}

extension PodManifest {
    /// The manifest with a mount for every mount point (appc spec `pods.md`: a pod is run when all of them are satisfied): those
    /// of the apps, else a volume of the same name, else a new empty one.
    /// - Parameter images: the manifest of each app's image, in their order.
    public func completed(images: [ImageManifest]) -> (manifest: PodManifest, implicit: [ImplicitVolume]) {
        var result = self
        var implicit: [ImplicitVolume] = []
        for (index, image) in images.enumerated() {
            guard var app = result.apps?[index] else { continue }
            var mounts = app.mounts ?? []
            for point in (app.app ?? image.app)?.mountPoints ?? [] {
                let path = AppMount.cleaned(point.path)
                if mounts.contains(where: { $0.path == point.name || AppMount.cleaned($0.path) == path }) { continue }
                if result.volumes?.contains(where: { $0.name == point.name }) == true {
                    mounts.append(Mount(volume: point.name, path: point.path))
                    continue
                }
                var volume = Volume(name: "\(app.name)-\(point.name)", kind: "empty")
                (volume.mode, volume.uid, volume.gid) = ("0755", 0, 0)
                result.volumes = (result.volumes ?? []) + [volume]
                mounts.append(Mount(volume: volume.name, path: point.path))
                implicit.append(
                    ImplicitVolume(app: app.name, mountPoint: point.name, path: point.path, volume: volume.name, isSeeded: image.isFromDocker))
            }
            app.mounts = mounts.isEmpty ? nil : mounts
            result.apps?[index] = app
        }
        return (result, implicit)
    }

    /// - Throws: ``PodError`` where two apps have one name.
    public func checkNames() throws(PodError) {
        var seen: Set<String> = []
        for app in apps ?? [] where !seen.insert(app.name).inserted { throw .nameTwice(app.name) }
    }
}
