import Foundation
import Testing

/// The fences around what reads strangers' bytes, tried from inside by a program of its own: there is no way out, so not here.
@Suite struct SandboxTests {
    private static let program =
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path + "/SandboxProbe"

    private func attempts(network: Bool) throws -> [String: String] {
        let place = NSTemporaryDirectory() + "/d2a-sandbox-" + UUID().uuidString
        for name in ["writable", "readable"] { try FileManager.default.createDirectory(atPath: "\(place)/\(name)", withIntermediateDirectories: true) }
        defer { try? FileManager.default.removeItem(atPath: place) }
        for name in ["secret", "readable/file"] { try "x".write(toFile: "\(place)/\(name)", atomically: true, encoding: .utf8) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments = [place + "/writable", place + "/readable"] + (network ? ["network"] : [])
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(FileManager.default.fileExists(atPath: place + "/secret"))
        return Dictionary(
            uniqueKeysWithValues: text.split(separator: "\n").map { ($0.prefix { $0 != " " }, $0.drop { $0 != " " }.dropFirst()) }.map {
                (String($0), String($1))
            })
    }

    private static let landlock = (try? String(contentsOfFile: "/sys/kernel/security/lsm", encoding: .utf8)).map { $0.contains("landlock") } ?? true

    @Test func noWayOut() throws {
        let attempts = try attempts(network: false)
        for name in ["write-inside", "read-inside"] { #expect(attempts[name] == "works") }
        for name in ["program", "exec", "host-name", "chroot", "mount", "become-root", "socket", "raw-socket"] {
            #expect(attempts[name] == "ENOSYS", "\(name)")
        }
        #expect(attempts.count == 15)
    }

    @Test(.enabled(if: landlock, "needs a kernel with Landlock")) func filesOutsideAreOutOfReach() throws {
        let attempts = try attempts(network: false)
        for name in ["write-readable", "read-outside", "read-home", "remove-outside", "accounts"] { #expect(attempts[name] == "EACCES", "\(name)") }
    }

    @Test func theNetworkAndItsFilesWhereAsked() throws {
        let attempts = try attempts(network: true)
        for name in ["socket", "accounts", "write-inside"] { #expect(attempts[name] == "works", "\(name)") }
        for name in ["raw-socket", "program", "exec", "become-root"] { #expect(attempts[name] == "ENOSYS", "\(name)") }
    }
}
