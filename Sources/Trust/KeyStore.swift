import Files
import Glibc

/// The keys that a person trusts, as rkt lays them out (docs/trust.md):
///
///     trustedkeys/root.d/FINGERPRINT               for all images
///     trustedkeys/prefix.d/NAME/PARTS/FINGERPRINT  for images whose names begin so, by whole components
public struct KeyStore: Sendable {
    /// A key that applies.
    public struct Key: Sendable, Hashable {
        /// 40 hexadecimal digits, lower case, which are also the file's name.
        public var fingerprint: String
        public var path: String
    }

    /// Later ones mask and add to earlier ones.
    let directories: [String]
    /// Where keys are added.
    let own: String

    /// - Parameter directories: later ones mask and add to earlier ones; keys are added in the last one.
    public init(directories: [String] = ConfigurationDirectories.system.reversed() + ConfigurationDirectories.local.reversed()) {
        self.directories = directories
        own = directories.last ?? "/etc/d2a"
    }

    /// The keys for an image. An empty file masks the key of its name that was found before it.
    public func keys(for name: String) -> [Key] {
        var found: [String: String] = [:]
        for place in ["root.d"] + Self.prefixes(of: name).map({ "prefix.d/" + $0 }) { collect(place, &found) }
        return found.sorted { $0.key < $1.key }.map { Key(fingerprint: $0.key, path: $0.value) }
    }

    /// The keys for any image at all: those of others can have signed none.
    public func all() -> [Key] {
        var found: [String: String] = [:]
        func collect(_ place: String, depth: Int) {
            guard let directory = try? Directory.open(place), let names = try? directory.names() else { return }
            for name in names {
                guard var status = try? directory.status(name) else { continue }
                // What stands lower than any name is long was not put there for images.
                if status.st_mode & S_IFMT == S_IFDIR, depth < 64 { collect("\(place)/\(name)", depth: depth + 1) }
                if Self.isFingerprint(name), stat("\(place)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 {
                    found[name] = "\(place)/\(name)"
                }
            }
        }
        for directory in directories { for place in ["root.d", "prefix.d"] { collect("\(directory)/trustedkeys/\(place)", depth: 0) } }
        return found.sorted { $0.key < $1.key }.map { Key(fingerprint: $0.key, path: $0.value) }
    }

    /// Whether somebody has said whose images of this name are good.
    public func hasPrefixKeys(for name: String) -> Bool {
        var found: [String: String] = [:]
        for prefix in Self.prefixes(of: name) { collect("prefix.d/" + prefix, &found) }
        return !found.isEmpty
    }

    private func collect(_ place: String, _ found: inout [String: String]) {
        for directory in directories {
            let path = "\(directory)/trustedkeys/\(place)"
            for name in ((try? Directory.open(path).names()) ?? []) where Self.isFingerprint(name) {
                var status = stat()
                guard stat("\(path)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { continue }
                found[name] = status.st_size == 0 ? nil : "\(path)/\(name)"
            }
        }
    }

    /// `a.b`, `a.b/c`, `a.b/c/d`
    static func prefixes(of name: String) -> [String] {
        let parts = name.split(separator: "/")
        return parts.indices.map { parts[...$0].joined(separator: "/") }
    }

    static func isFingerprint(_ name: String) -> Bool {
        name.utf8.count == 40 && name.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x61 && $0 <= 0x66) }
    }

    /// Keeps a key.
    /// - Parameter prefix: nil for all images.
    /// - Returns: where it is now.
    public func add(_ key: [UInt8], fingerprint: String, prefix: String?) throws -> String {
        let path = "\(own)/trustedkeys/" + (prefix.map { "prefix.d/\($0)" } ?? "root.d")
        try Directory.make(path).write(key, atomicallyTo: fingerprint)
        return "\(path)/\(fingerprint)"
    }
}
