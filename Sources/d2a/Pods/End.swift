import ArgumentParser
import Diagnostics
import Glibc
import Metadata
import Pod
import Program
import Stage1
import Store

/// `d2a stop`: ends pods.
struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop",
        abstract: "End pods that run.",
        discussion: "Their apps get TERM, and KILL after the time that --stop-timeout of d2a run has set. It doesn't wait: d2a status --wait does.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var which: PodArguments
    @Flag(help: "Kill at once.") var force = false

    func run() throws {
        var failed = 0
        for pod in try which.pods(in: global.store()) {
            switch try pod.state() {
            case .running:
                // The lock is held by who watches this process: its number is no other's.
                guard let pid = pod.number("pid"), kill(pid_t(pid), force ? SIGKILL : SIGTERM) == 0 else {
                    failed += 1
                    continue
                }
                print("\"\(pod.uuid)\"")
            case let state where state.hasExited: print("pod \"\(pod.uuid)\" is already stopped")
            default:
                complain("stop: pod \"\(pod.uuid)\" is not running\n")
                failed += 1
            }
        }
        if failed > 0 {
            complain("stop: failed to stop \(failed) pod(s)\n")
            throw ExitCode(254)
        }
    }
}

/// `d2a rm`: removes pods.
struct RemovePods: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove pods that don't run, with all that their apps wrote.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var which: PodArguments

    func run() throws {
        var failed = false
        let pods = try which.pods(in: global.store())
        try UserNamespace.enter()
        for pod in pods {
            if try pod.discard(PodSurroundings.release) {
                print("\"\(pod.uuid)\"")
            } else {
                complain("rm: pod \"\(pod.uuid)\" is currently running\n")
                failed = true
            }
        }
        if failed {
            complain("rm: failed to remove one or more pods\n")
            throw ExitCode(254)
        }
    }
}

/// `d2a gc`: removes pods whose time has come.
struct CollectGarbage: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "gc", abstract: "Remove pods that ended or were prepared some time ago.")

    @OptionGroup var global: GlobalOptions
    @Option(help: ArgumentHelp("Keep pods for so long after their end: 90s, 30m, 24h.", valueName: "time")) var gracePeriod: TimeSpan = TimeSpan(seconds: 1800)
    @Option(help: ArgumentHelp("Keep prepared pods for so long.", valueName: "time")) var expirePrepared: TimeSpan = TimeSpan(seconds: 86400)

    @Flag(help: "Only mark them: the next gc removes them, whatever their age.") var markOnly = false

    func run() throws {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var collection = PodCollection(gracePeriod: gracePeriod.seconds, expirePrepared: expirePrepared.seconds)
        collection.marksOnly = markOnly
        let root = try global.store().root
        // What apps wrote belongs to users that exist in there only.
        try UserNamespace.enter()
        for uuid in collection.run(in: root, now: now.tv_sec * 1_000_000_000 + now.tv_nsec, release: PodSurroundings.release) {
            print(markOnly ? "moving pod \"\(uuid)\" to garbage" : "Garbage collecting pod \"\(uuid)\"")
        }
        try MetadataService.sweep()
    }
}

/// A span of time as Go writes it: `1h30m`, `90s`; a bare number is seconds.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
    var seconds: Int
    var description: String { "\(seconds)s" }

    init(seconds: Int) { self.seconds = seconds }

    init?(argument: String) {
        if let seconds = Int(argument), seconds >= 0 {
            self.seconds = seconds
            return
        }
        var (total, number) = (0, "")
        for character in argument {
            if character.isNumber {
                number.append(character)
                continue
            }
            guard let unit = ["s": 1, "m": 60, "h": 3600][character], let value = Int(number), value < 1 << 30 else { return nil }
            total += value * unit
            number = ""
        }
        guard number.isEmpty, !argument.isEmpty else { return nil }
        seconds = total
    }
}
