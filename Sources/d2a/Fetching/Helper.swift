import AppC
import ArgumentParser
import Configuration
import Credentials
import Files
import Glibc
import Store
import Subprocess

/// The program that has what this one leaves out: networks, archives, compression.
enum Helper {
    /// - Throws: the helper's exit status where it failed; it has said why.
    static func run(_ arguments: [String], descriptors: [any DescriptorOwner]) throws {
        let status = try runProgram(companionProgram("d2a-image"), arguments, descriptors: descriptors)
        guard status == 0 else { throw ExitCode(status) }
    }

    /// How a registry lets us in, in a file without a name: the helper may not read ours, and words of a command line can be seen.
    static func file(of access: RegistryAccess, in directory: Directory) throws -> OpenFile {
        let file = try directory.unnamedFile()
        try file.write(CanonicalJSON.text(access))
        try file.seek(to: 0)
        return file
    }

    /// How web servers let us in, likewise.
    static func webAccess() throws -> OpenFile {
        let file = try OpenFile.inMemory("credentials", Array(CanonicalJSON.text(WebAccess(ConfigurationFiles())).utf8))
        try file.seek(to: 0)
        return file
    }

    /// What it has reported.
    static func read<T: Decodable>(_ type: T.Type, from report: OpenFile) throws -> T {
        try report.seek(to: 0)
        do { return try CanonicalJSON.decode(type, from: report.readAll(limit: 64 << 20)) } catch { throw StoreError.damaged(path: "the helper's report") }
    }

    /// Where an appc name leads; what isn't said is this machine's.
    static func discover(_ name: AppName, _ options: FetchOptions) throws -> DiscoveredImage {
        var name = name
        for (label, value) in [("os", "linux"), ("arch", architecture)] where name.label(label) == nil {
            name.labels.append(NamedValue(name: label, value: value))
        }
        let report = try OpenFile.inMemory("report")
        try run(["discover"] + options.webArguments + ["--", name.description], descriptors: [report, webAccess()])
        return try read(DiscoveredImage.self, from: report)
    }

    private static var architecture: String {
        var system = utsname()
        uname(&system)
        let machine = withUnsafePointer(to: &system.machine) { $0.withMemoryRebound(to: CChar.self, capacity: 65) { String(cString: $0) } }
        return ["x86_64": "amd64", "i686": "i386", "armv8l": "armv7l"][machine] ?? machine
    }
}
