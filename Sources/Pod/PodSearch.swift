import Files
import Glibc

extension PodDirectory {
    /// Every pod of a data directory that has left its beginnings behind, by UUID.
    public static func all(in data: Directory) -> [PodDirectory] {
        PodPhase.allCases.filter { $0 != .embryo }.flatMap { phase in
            ((try? data.directory("pods/\(phase.rawValue)").names()) ?? []).compactMap { name in
                // One that moves on while we look is found in its next phase, or is gone.
                PodUUID.canonical(name) == name ? try? PodDirectory(name, in: phase, of: data) : nil
            }
        }.sorted { $0.uuid < $1.uuid }
    }

    /// A pod by its UUID or a beginning that no other has.
    /// - Throws: ``PodError/noSuchPod(_:)``, ``PodError/ambiguousPod(_:count:)``
    public static func find(_ text: String, in data: Directory) throws(PodError) -> PodDirectory {
        let prefix = PodUUID.canonical(text) ?? text.lowercased()
        let matches = prefix.isEmpty ? [] : all(in: data).filter { $0.uuid.hasPrefix(prefix) }
        guard let pod = matches.first else { throw .noSuchPod(text) }
        guard matches.count == 1 else { throw .ambiguousPod(text, count: matches.count) }
        return pod
    }

    /// What has become of each app that has ended: its exit code, or 128 and the signal.
    public func exitCodes() -> [(app: String, code: Int)] {
        ((try? manifest().apps) ?? []).compactMap { app in number("apps/\(app.name)/status").map { (app.name, $0) } }
    }
}
