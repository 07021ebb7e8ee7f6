import Foundation
import Observation
import Testing

/// What d2a-probe says of surroundings that the test makes.
@Suite struct ProbeTests {
    private static let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/d2a-probe"

    /// Runs a line of bash in which `$PROBE` is the probe, with nothing else in its environment.
    private func observe(_ line: String) throws -> Surroundings {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "PROBE=\(Self.program)", "bash", "-c", line]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = Array(output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return try Surroundings(bytes)
    }

    @Test func bytesThatAreNoTextComeBackAsTheyAre() throws {
        let seen = try observe(#"cd /; exec env -i "$(printf 'A=\xff\\x41\x01"\n.')" "B=é\\" "$PROBE" '' 'a b' $'\xe2\x82' $'\xed\xa0\x80\xf4\x90\x80\x80'"#)
        #expect(seen.environment == [ProbeText(bytes: Array("A=".utf8) + [0xFF] + Array("\\x41\u{1}\"\n.".utf8)), "B=é\\"])
        #expect(
            seen.arguments == ["", "a b", ProbeText(bytes: [0xE2, 0x82]), ProbeText(bytes: [0xED, 0xA0, 0x80, 0xF4, 0x90, 0x80, 0x80])])
        #expect(seen.directory == "/")
    }

    @Test func whatIsTooLongIsCutAndStillTold() throws {
        func seen(_ last: String) throws -> Surroundings {
            try observe(#"exec env -i "$PROBE" "$(printf '%0100000d')"\#(last) $(seq 2000)"#)
        }
        let (one, other) = (try seen("1"), try seen("2"))
        #expect(one.arguments[0].bytes.count < 20_000 && one.arguments[0].hasPrefix("00000000"))
        #expect(one.arguments[0].bytes.starts(with: Array(repeating: UInt8(ascii: "0"), count: 16384) + Array("\\+83617:".utf8)))
        #expect(one.arguments[0] != other.arguments[0])
        #expect(one.arguments.count == 1025 && one.arguments[1023] == "1023" && one.arguments[1024] == "\\+977")
    }

    @Test func whatAProcessInheritsIsSaid() throws {
        let seen = try observe(
            """
            umask 027; trap '' USR1; ulimit -S -n 99; ulimit -H -n 100; exec 7</etc/passwd 9> >(cat)
            exec "$PROBE" | cat
            """)
        #expect(seen.umask == "0027")
        // Those of real time may be ignored by whoever runs the tests.
        #expect(seen.ignoredSignals.hasSuffix("0000200"))
        #expect(seen.limits["nofile"] == "99 100")
        #expect(seen.descriptors["7"] == "/etc/passwd" && seen.descriptors["9"] == "pipe" && seen.descriptors["1"] == "pipe")
        #expect(seen.descriptors["0"] == "/dev/null")
        #expect(seen.descriptors.count >= 5 && seen.descriptors.count < 100)
        #expect(seen.terminal[0] == false && seen.terminal[1] == false && seen.terminalSize == nil)
        #expect(seen.noNewPrivileges == "0" && seen.seccomp == "0")
        let own = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        #expect(own.contains("CapBnd:\t\(seen.capabilities.bounding)\n"))
        #expect(seen.namespaces.count >= 7)
        #expect(seen.namespaces["pid"] == (try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")))
        #expect(seen.mounts.contains { $0.point == "/proc" && $0.type == "proc" })
        #expect(seen.devices.contains { $0.path == "/dev/null" && $0.device == "1:3" && $0.mode == "020666" })
    }

    @Test(.enabled(if: geteuid() == 0, "needs root"))
    func rightsAndNamespacesAreSaid() throws {
        let seen = try observe(
            """
            exec unshare --uts --mount --fork bash -c 'hostname other; mount -t tmpfs -o ro "a tmp" "/proc/scsi" 2>/dev/null; mkdir -p "$1"; mount -t tmpfs "x y" "$1"
            mount --bind /dev/null /proc/keys; mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys
            setpriv --reuid 1000 --regid 2000 --groups 3,5 --inh-caps -all,+chown --ambient-caps -all,+chown --bounding-set -all,+chown,+kill --no-new-privs "$0"
            rmdir "$1" 2>/dev/null || { umount "$1"; rmdir "$1"; }' "$PROBE" "/tmp/d2a probe $$"
            """)
        #expect(seen.users == [1000, 1000, 1000] && seen.groups == [2000, 2000, 2000] && seen.supplementaryGroups == [3, 5])
        #expect(seen.capabilities.ambient == "0000000000000001" && seen.capabilities.bounding == "0000000000000021")
        #expect(seen.capabilities.effective == "0000000000000001" && seen.capabilities.inheritable == "0000000000000001")
        #expect(seen.noNewPrivileges == "1")
        #expect(seen.hostName == "other")
        #expect(seen.namespaces["uts"] != (try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/uts")))
        #expect(seen.namespaces["ipc"] == (try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/ipc")))
        let made = try #require(seen.mounts.first { $0.point.hasPrefix("/tmp/d2a probe ") })
        #expect(made.type == "tmpfs" && made.source == "x y" && !made.propagates && made.options.hasPrefix("rw"))
        #expect(seen.kernelPaths["/proc/keys"] == .hidden && seen.kernelPaths["/proc/sys"] == .readOnly && seen.kernelPaths["/proc/bus"] == .shown)
    }

    @Test func aTerminalIsToldWithItsSize() throws {
        let seen = try observe(
            """
            exec python3 - "$PROBE" <<'END'
            import fcntl, os, pty, struct, sys, termios, time
            pid, master = pty.fork()
            if pid == 0: os.execv(sys.argv[1], [sys.argv[1]])
            time.sleep(0.3)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            while True:
                try: data = os.read(master, 65536)
                except OSError: break
                if not data: break
                os.write(1, data)
            os.waitpid(pid, 0)
            END
            """)
        #expect(seen.terminal == [true, true, true] && seen.terminalSize == "24x80" && seen.controlsTerminal == true && seen.leadsSession)
    }
}
