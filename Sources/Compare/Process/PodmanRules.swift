import Observation

extension RuleTable {
    /// Where podman (4.3, containers/common's defaults) does something else than Docker does.
    static let podmanRules: [ProcessRule] = [
        podman("env-container", "the variable container", engine: "sets it to podman", rocket: "sets it to d2a, as systemd's container interface wants") {
            fact, _, _, _ in fact.aspect == .environment && fact.isNamed("container") && fact.isLeft("podman") && fact.isRight("d2a")
        },
        podman("env-terminal", "the variable TERM without a terminal", engine: "sets it to xterm all the same", rocket: "doesn't set it") {
            fact, scene, _, _ in
            fact.aspect == .environment && fact.isNamed("TERM") && !scene.conditions.terminal && fact.isLeft("xterm") && fact.right == nil
        },
        podman(
            "env-without-value", "an entry of Env without a value", engine: "takes the value that its service has", rocket: "ignores it, and sets the default",
            matters: true
        ) { fact, scene, _, _ in
            fact.aspect == .environment && scene.settings.environment.contains(fact.nameText) && fact.left != nil && fact.isNamed("PATH")
                && fact.isRight(defaultPath)
        },
        podman(
            "primary-group", "the supplementary groups of an image without a user", engine: "has none",
            rocket: "has the primary group among them, as Docker does"
        ) {
            fact, scene, left, right in
            guard fact.aspect == .supplementaryGroups, scene.settings.user.isEmpty, let left, let right, let group = right.groups.first else { return false }
            return left.supplementaryGroups.isEmpty && right.supplementaryGroups == [group]
        },
        podman("limits", "limits of open files and processes", engine: "gives what its configuration says", rocket: "gives what whoever runs d2a has") {
            fact, scene, _, _ in
            fact.aspect == .limits && fact.isNamed("nofile", "nproc") && fact.left != nil
                && fact.right == scene.host.surroundings.limits[fact.nameText].map { Array($0.utf8) }
        },
        podman("process-count", "how many processes there may be", engine: "allows 2048", rocket: "sets no limit: by the appc spec those are isolators") {
            fact, _, _, _ in
            fact.aspect == .controlGroupFiles && fact.isNamed("pids.max", "pids/pids.max") && fact.isLeft("2048") && fact.right == nil
        },
        podman(
            "volume-set-user-id", "programs with set-user-ID bits on volumes", engine: "doesn't heed the bits (nosuid)", rocket: "heeds them, as Docker does"
        ) {
            fact, scene, _, _ in
            guard fact.aspect == .mounts, scene.settings.volumes.contains(fact.nameText), let left = fact.left, let right = fact.right else { return false }
            let words = String(decoding: left, as: UTF8.self).split(separator: " ")
            return words.contains("nosuid") && Array(words.filter { $0 != "nosuid" }.joined(separator: " ").utf8) == right
        },
        podman("dev-options", "what is forbidden on /dev", engine: "to run programs (noexec)", rocket: "devices other than those that are mounted (nodev)") {
            fact, _, _, _ in fact.aspect == .mounts && fact.isNamed("/dev") && fact.isLeft("tmpfs rw nosuid noexec") && fact.isRight("tmpfs rw nosuid nodev")
        },
        podman("container-file", "/run/.containerenv", engine: "mounts a file that says it is podman", rocket: "mounts none") { fact, _, _, _ in
            fact.aspect == .mounts && fact.isNamed("/run/.containerenv") && fact.left != nil && fact.right == nil
        },
        podman(
            "read-only-directories", "/run, /tmp and /var/tmp with a read-only root", engine: "mounts a tmpfs on each",
            rocket: "leaves them read-only, as Docker does",
            matters: true
        ) { fact, scene, _, _ in
            fact.aspect == .mounts && scene.conditions.readOnlyRoot && fact.isNamed("/run", "/tmp", "/var/tmp") && fact.isLeft("tmpfs rw nosuid nodev")
                && fact.right == nil
        },
        podman(
            "etc-read-only", "/etc/hosts and /etc/hostname with a read-only root", engine: "makes them read-only too, and forbids what else can be",
            rocket: "lets them be written to"
        ) { fact, scene, _, _ in
            guard fact.aspect == .mounts, scene.conditions.readOnlyRoot, fact.isNamed("/etc/hosts", "/etc/hostname"), let right = fact.right else {
                return false
            }
            return right.suffix(3) == Array(" rw".utf8)[...] && fact.left == right.dropLast(3) + Array(" ro nosuid nodev noexec".utf8)
        },
        podman("etc-hostname", "/etc/hostname", engine: "writes the container's host name, without an end of line", rocket: "writes the pod's, with one") {
            fact, _, left, right in
            guard fact.aspect == .files, fact.isNamed("/etc/hostname"), let left, let right else { return false }
            return fact.left == left.hostName.bytes && fact.right == right.hostName.bytes + [UInt8(ascii: "\n")]
        },
        podman("etc-hosts", "/etc/hosts", engine: "has the names of the host's, and the container's", rocket: "names this machine and the pod") {
            fact, scene, left, right in
            guard fact.aspect == .files, fact.isNamed("/etc/hosts"), let seen = fact.left, let left, let right else { return false }
            let host = Set(names(scene.host.surroundings.files["/etc/hosts"]?.bytes ?? []).joined() + ["localhost", "host.containers.internal"])
            let container = left.hostName.text
            return names(seen).allSatisfy { $0.contains(container) || host.isSuperset(of: $0) } && names(seen).contains { $0.contains(container) }
                && fact.right == Array(dockerHosts.utf8) + Array("127.0.1.1\t".utf8) + right.hostName.bytes + [UInt8(ascii: "\n")]
        },
    ]

    private static func podman(
        _ id: String, _ title: String, engine: String, rocket: String, matters: Bool = false,
        _ explains: @escaping @Sendable (ProcessFact, ProcessScene, Surroundings?, Surroundings?) -> Bool
    ) -> ProcessRule {
        ProcessRule("podman-" + id, title, docker: engine, rocket: rocket, matters: matters) { $1.runner == .podman && explains($0, $1, $2, $3) }
    }

    /// The names of each line of a file as hosts(5) has it.
    private static func names(_ text: [UInt8]) -> [[String]] {
        text.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let words = String(decoding: line.prefix { $0 != UInt8(ascii: "#") }, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
            return words.count > 1 ? Array(words.dropFirst()) : nil
        }
    }
}
