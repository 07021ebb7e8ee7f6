import Diagnostics
import Files
import Glibc
import Reference

/// What TLS with one registry needs beside the system's roots, as PEM. It never shows itself: there is a key in it.
public struct TLSMaterial: Sendable, Hashable, Codable, CustomStringConvertible, CustomReflectable {
    /// Certificates of authorities.
    public var roots: String
    public var certificate: String?
    public var key: String?

    public var description: String { "TLS material" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A directory of certificates that can't be used.
public struct TLSFileError: DiagnosedError, Equatable {
    public let path: String
    public let reason: String
    public var diagnosis: Diagnosis {
        Diagnosis("\(path): \(reason)", hint: "the directory should have NAME.crt for authorities, and NAME.cert with NAME.key for us")
    }
}

/// The directories in which Docker's and podman's users keep certificates, one for each `HOST[:PORT]` (docker's `certs.d`):
/// `*.crt` are authorities, `NAME.cert` and `NAME.key` are shown to the registry.
public struct TLSFiles {
    private let directories: [String]

    public init() {
        let home = environmentVariable("HOME").map { [$0 + "/.config/containers/certs.d"] } ?? []
        self.init(directories: home + ["/etc/d2a/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"])
    }

    init(directories: [String]) { self.directories = directories }

    /// What the first directory has that is for a registry; nil where none is.
    /// - Throws: ``TLSFileError``, `FileError`.
    public func find(registry: String) throws -> TLSMaterial? {
        let hosts = registry == ImageReference.hub ? ["docker.io", registry] : [registry]
        for path in directories.flatMap({ directory in hosts.map { "\(directory)/\($0)" } }) {
            guard let directory = try? Directory.open(path) else { continue }
            let names = try directory.names()
            var material = TLSMaterial(roots: "")
            func text(_ name: String) throws -> String { String(decoding: try OpenFile.open("\(path)/\(name)").readAll(limit: 1 << 20), as: UTF8.self) }
            for name in names where name.hasSuffix(".crt") { material.roots += try text(name) + "\n" }
            for name in names where name.hasSuffix(".cert") {
                let key = name.dropLast("cert".count) + "key"
                guard names.contains(String(key)) else { throw TLSFileError(path: path, reason: "it has \(name), but no \(key)") }
                if material.certificate == nil { (material.certificate, material.key) = (try text(name), try text(String(key))) }
            }
            return material
        }
        return nil
    }
}
