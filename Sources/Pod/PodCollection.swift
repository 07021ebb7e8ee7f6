import Files
import Glibc

/// What becomes of pods that nobody runs any more (rkt's rules, but in one call).
public struct PodCollection: Sendable {
    /// Seconds for which a pod is kept that has ended.
    public var gracePeriod: Int
    /// Seconds for which a pod is kept that was prepared and never ran.
    public var expirePrepared: Int
    /// Pods are marked, and left to a later collection.
    public var marksOnly = false

    public init(gracePeriod: Int, expirePrepared: Int) { (self.gracePeriod, self.expirePrepared) = (gracePeriod, expirePrepared) }

    /// Removes the pods whose time has come. One that cannot be removed keeps no other from being.
    /// - Parameter now: nanoseconds since 1970.
    /// - Parameter release: gives back what a pod holds outside of its directory.
    /// - Returns: the UUIDs of those that were removed.
    public func run(in data: Directory, now: Int, release: (PodDirectory) throws -> Void) -> [String] {
        let embryos = (try? data.directory("pods/embryo").names()) ?? []
        let pods = PodDirectory.all(in: data) + embryos.compactMap { try? PodDirectory($0, in: .embryo, of: data) }
        return pods.compactMap { pod in isDue(pod, now) && (try? marksOnly ? pod.mark() != nil : pod.discard(release)) == true ? pod.uuid : nil }
    }

    private func isDue(_ pod: PodDirectory, _ now: Int) -> Bool {
        switch pod.phase {
        case .embryo, .prepare, .garbage, .exitedGarbage: true
        case .prepared: age(pod, now, since: ["pod"]) >= expirePrepared
        // Whatever was written last tells when it ended.
        case .run: age(pod, now, since: ["exit-status", "pid", "pod"]) >= gracePeriod
        }
    }

    private func age(_ pod: PodDirectory, _ now: Int, since files: [String]) -> Int {
        guard let time = files.lazy.compactMap({ pod.time(of: $0) }).first else { return .max }
        return (now - time) / 1_000_000_000
    }
}

extension PodDirectory {
    /// Removes a pod that nobody holds.
    /// - Parameter release: gives back what it holds outside of its directory. Where that fails the pod stays.
    /// - Returns: false where somebody does.
    public func discard(_ release: (PodDirectory) throws -> Void) throws -> Bool {
        guard try lock() else { return false }
        try release(self)
        try (mark() ?? self).remove()
        return true
    }

    /// Moves a pod that nobody holds to those that are to be removed.
    /// - Returns: nil where somebody holds it, or it is there already.
    func mark() throws(FileError) -> PodDirectory? {
        let next: PodPhase? = phase == .run ? .exitedGarbage : [.prepare, .prepared].contains(phase) ? .garbage : nil
        guard let next, try lock() else { return nil }
        var pod = self
        try pod.move(to: next)
        return pod
    }
}
