import CLinux
import Files
import Glibc
import Threads

/// Signals that would end this process wait while what it runs is watched, so that nothing of it stays behind.
public final class HeldSignals {
    private var before = sigset_t()

    public init() {
        var set = Self.set
        pthread_sigmask(SIG_BLOCK, &set, &before)
    }

    deinit { pthread_sigmask(SIG_SETMASK, &before, nil) }

    private static var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, number) }
        return set
    }

    /// Whether one waits.
    public static var hasOne: Bool {
        var pending = sigset_t()
        sigpending(&pending)
        return [SIGINT, SIGTERM, SIGHUP].contains { sigismember(&pending, $0) == 1 }
    }
}

/// A process of ours that is given its time, then told to stop, then killed.
struct Supervision {
    let process: pid_t
    let conditions: RunConditions
    /// How it is told to stop.
    let stop: () -> Void
    let kill: () -> Void

    /// Waits until something is so, or the process has ended, or two minutes have gone.
    static func await(_ process: pid_t, _ isSo: () -> Bool) throws {
        let deadline = monotonicSeconds() + 120
        while !isSo(), monotonicSeconds() < deadline, !HeldSignals.hasOne {
            var info = siginfo_t()
            guard waitid(P_PID, id_t(process), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo == 0 else { return }
            usleep(5000)
        }
    }

    /// Waits until it has ended, and leaves it to be reaped.
    /// - Throws: ``ObservationError/interrupted``, once it has ended.
    func run() throws -> RunRecord.Stop? {
        let descriptor = system_open_process(process)
        guard descriptor >= 0 else { return nil }
        let handle = OpenFile(descriptor: descriptor, path: "the process")
        func ended(within seconds: Double) throws -> Bool {
            let deadline = monotonicSeconds() + seconds
            while true {
                var waiting = pollfd(fd: handle.descriptor, events: Int16(POLLIN), revents: 0)
                let left = deadline - monotonicSeconds()
                if poll(&waiting, 1, Int32(max(0, min(left, 0.2)) * 1000)) > 0 { return true }
                if HeldSignals.hasOne {
                    kill()
                    while poll(&waiting, 1, -1) < 0 {}
                    throw ObservationError.interrupted
                }
                if left <= 0 { return false }
            }
        }
        if try ended(within: Double(conditions.patience)) { return nil }
        stop()
        if try ended(within: Double(conditions.grace)) { return .ended }
        kill()
        _ = try ended(within: 60)
        return .killed
    }
}
