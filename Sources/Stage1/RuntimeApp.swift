import AppC
import Files
import Glibc
import Pod
import RuntimeBundle

/// An app that an OCI runtime is to start, inside the pod's namespaces: a bundle for it, and one for each of its handlers. The
/// bundles share the root, which lies where the pod's own process has mounted it.
struct RuntimeApp {
    /// What starts each of them.
    let arguments: [String]
    let preStart: [String]?
    let postStop: [String]?

    /// Writes the bundles.
    /// - Throws: `FileError`
    init(
        _ process: AppProcess, of pod: PodDirectory, _ settings: PodSettings, _ files: [(path: String, file: String)], sharesMemory: Bool, _ runtime: OCIRuntime
    )
        throws
    {
        let app = process.app
        let (podPath, directory) = (try pod.directory.absolutePath(), try pod.app(app.name))
        let root =
            switch process.root {
            case .overlay(let tree): String(podPath.dropLast(pod.path.utf8.count)) + tree
            case .copy: "\(podPath)/apps/\(app.name)/rootfs"
            }
        let configuration = RuntimeConfiguration(
            process, root: root, podPath: podPath, files, sharesMemory: sharesMemory, hidesKernelPaths: settings.hidesKernelPaths)
        func bundle(_ name: String, _ configuration: RuntimeConfiguration) throws -> [String] {
            let bundle = try directory.make("bundle/\(name)", mode: 0o700)
            try RuntimeBundle.write(configuration, to: bundle)
            return runtime.command(bundle: "\(podPath)/apps/\(app.name)/bundle/\(name)", state: "\(podPath)/runtime", id: "\(pod.uuid)-\(app.name)-\(name)")
        }
        func handler(_ name: String, _ words: [String]?) throws -> [String]? {
            guard let words else { return nil }
            // As root, with the app's surroundings.
            var configuration = configuration
            configuration.process.args = words
            configuration.process.terminal = false
            (configuration.process.user.uid, configuration.process.user.gid) = (0, 0)
            configuration.process.capabilities = RuntimeConfiguration.Capabilities(process.limits.bounding.names, user: 0)
            return try bundle(name, configuration)
        }
        arguments = try bundle("main", configuration)
        preStart = try handler("pre-start", app.preStart)
        postStop = try handler("post-stop", app.postStop)
    }
}

extension RuntimeConfiguration {
    /// The container of an app: what the built-in stage1 makes of it.
    /// - Parameters:
    ///   - root: the app's root, mounted, and `podPath` the pod's directory; both absolute.
    init(_ process: AppProcess, root: String, podPath: String, _ files: [(path: String, file: String)], sharesMemory: Bool, hidesKernelPaths: Bool) {
        let (app, limits) = (process.app, process.limits)
        var inside = Process(
            args: app.arguments, env: app.environment.map { "\($0.name)=\($0.value)" }, cwd: app.workingDirectory,
            user: User(uid: app.user, gid: app.group, additionalGids: app.supplementaryGroups), terminal: process.hasTerminal)
        var capabilities = Capabilities(limits.bounding.names, user: app.user)
        if !limits.ambient.isEmpty || !limits.inheritable.isEmpty {
            capabilities.inheritable = limits.inheritable.union(limits.ambient).names
            capabilities.ambient = limits.ambient.names
            if app.user != 0 { (capabilities.permitted, capabilities.effective) = (limits.ambient.names, limits.ambient.names) }
        }
        inside.capabilities = capabilities
        inside.noNewPrivileges = limits.noNewPrivileges
        inside.oomScoreAdj = limits.oomScoreAdjust
        inside.rlimits = Limit.own
        (inside.apparmorProfile, inside.selinuxLabel) = (limits.runtime.appArmorProfile, limits.runtime.selinuxContext)

        var mounts = Self.kernelMounts.filter { !sharesMemory || $0.destination != "/dev/shm" }
        if !hidesKernelPaths { for index in mounts.indices where mounts[index].destination == "/sys" { mounts[index].options.removeAll { $0 == "ro" } } }
        if sharesMemory { mounts.append(.bind("\(podPath)/shm", at: "/dev/shm")) }
        mounts += files.filter { file in !app.mounts.contains { $0.path == file.path } }.map { .bind("\(podPath)/\($0.file)", at: $0.path) }
        mounts += app.mounts.map { mount in
            var bind = Mount.bind(mount.source(in: podPath), at: mount.path, readOnly: mount.readOnly, recursive: mount.recursive)
            // A directory's whole tree of mounts, as the built-in stage1 does. crun wants no such option on a file, and with one brings all mounts.
            var status = stat()
            let isTree = mount.recursive && stat(mount.source(in: podPath), &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
            if mount.readOnly, isTree { bind.options.append("rro") }
            if !mount.hasDevices { bind.options.append(isTree ? "rnodev" : "nodev") }
            return bind
        }

        var linux = Linux(
            namespaces: [Namespace("mount"), Namespace("cgroup")], maskedPaths: hidesKernelPaths ? Plan.maskedPaths : [],
            readonlyPaths: hidesKernelPaths ? Plan.readOnlyPaths : [])
        linux.resources = limits.runtime.resources
        linux.cgroupsPath = limits.runtime.group
        linux.seccomp = limits.runtime.seccomp
        // Without a terminal the console swallows what is written to it.
        if !process.hasTerminal { linux.devices = [Device("/dev/console", 1, 3)] }
        self.init(
            process: inside, root: Root(path: root, readonly: app.readOnlyRoot), hostname: nil, mounts: mounts, linux: linux)
    }
}

extension RuntimeConfiguration.Limit {
    /// Those of this process, as a pod of the built-in stage1 has them: a runtime's own may be others, which its Go raises.
    fileprivate static var own: [Self] {
        let names = [
            "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
        ]
        return names.enumerated().compactMap { number, name in
            var limit = rlimit()
            guard getrlimit(__rlimit_resource_t(UInt32(number)), &limit) == 0 else { return nil }
            return Self("RLIMIT_\(name)", soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
        }
    }
}
