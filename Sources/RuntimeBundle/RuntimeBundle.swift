import AppC
import Files
import Glibc

/// A directory that runc or crun can run: `config.json`, beside the root that it names.
public enum RuntimeBundle {
    /// Writes the configuration into the bundle's directory.
    /// - Throws: `FileError`.
    public static func write(_ configuration: RuntimeConfiguration, to directory: Directory) throws {
        let bytes = try CanonicalJSON.encode(configuration, pretty: true)
        let file = try directory.file("config.json", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try bytes.withUnsafeBytes { try file.write($0) }
    }
}
