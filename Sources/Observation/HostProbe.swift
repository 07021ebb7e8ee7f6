import Files
import Glibc
import Subprocess

/// Runs the probe where this program runs itself: what of this machine shows in containers and pods.
public enum HostProbe {
    /// - Parameter path: of d2a-probe.
    /// - Throws: ``ObservationError``, `FileError`, `SubprocessError`.
    public static func run(_ path: String) throws -> Surroundings {
        let streams = try CapturedStreams(limit: 4 << 20)
        let process = try startProgram(path, [], descriptors: [], streams: streams.own)
        streams.handOver()
        waitpid(process, nil, 0)
        return try Surroundings(streams.finish().output.beginning)
    }
}
