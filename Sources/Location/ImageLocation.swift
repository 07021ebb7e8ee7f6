import Diagnostics
import Files
import Glibc
import Reference

/// Where an image is, as people write it: a bare name or path, or one of the transports that skopeo's and podman's users know
/// (containers-transports(5)).
public enum ImageLocation: Sendable, Hashable {
    /// `busybox`, `docker://busybox`
    case registry(ImageReference)
    /// `busybox.docker`, `docker-archive:PATH[:NAME[:TAG]]`, `oci-archive:PATH[:REF]`, or `-` for standard input.
    case file(path: String, image: String?)
    /// `layout/`, `oci:PATH[:REF]`
    case directory(path: String, image: String?)
    /// `docker-daemon:NAME[:TAG]`
    case engine(name: String)

    /// - Parameter opened: the file or directory, where somebody else has opened it. Then no path is looked at.
    /// - Throws: `ReferenceError`, ``LocationError``.
    public init(_ text: String, opened: (any DescriptorOwner)? = nil) throws {
        for (prefix, make) in Self.prefixes where text.hasPrefix(prefix) {
            let rest = text.dropFirst(prefix.count)
            let (path, image) = rest.firstIndex(of: ":").map { (rest[..<$0], rest[rest.index(after: $0)...]) } ?? (rest, "")
            guard !path.isEmpty else { throw LocationError.noPath(text) }
            self = make(String(path), image.isEmpty ? nil : String(image))
            return
        }
        if text.hasPrefix("docker-daemon:") {
            let name = String(text.dropFirst("docker-daemon:".count))
            guard !name.isEmpty, name.utf8.allSatisfy(Self.isName), !name.contains("..") else { throw LocationError.noPath(text) }
            self = .engine(name: name)
            return
        }
        var status = stat()
        let found = opened.map { fstat($0.descriptor, &status) == 0 } ?? (text == "-" ? fstat(STDIN_FILENO, &status) == 0 : stat(text, &status) == 0)
        guard found else {
            // Names don't begin or end so: a path that leads nowhere, of which opening it tells. docker:// is for whoever means a name.
            let isPath = ["/", "./", "../"].contains { text.hasPrefix($0) } || Self.fileEndings.contains { text.hasSuffix($0) }
            if isPath, !text.hasPrefix("docker:") {
                self = .file(path: text, image: nil)
                return
            }
            self = .registry(try ImageReference(text))
            return
        }
        self = status.st_mode & S_IFMT == S_IFDIR ? .directory(path: text, image: nil) : .file(path: text, image: nil)
    }

    private static let prefixes: [(String, @Sendable (String, String?) -> ImageLocation)] = [
        ("docker-archive:", { .file(path: $0, image: $1) }), ("oci-archive:", { .file(path: $0, image: $1) }), ("oci:", { .directory(path: $0, image: $1) }),
    ]

    private static let fileEndings = [".aci", ".docker", ".tar", ".tgz", ".gz", ".xz", ".zst", ".bz2"]

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "._-/:@".utf8.contains(byte)
        }
    }

    /// The reference, where the image is in a registry.
    public var reference: ImageReference? {
        guard case .registry(let reference) = self else { return nil }
        return reference
    }

    /// Whether a server is asked for it.
    public var needsNetwork: Bool {
        switch self {
        case .registry, .engine: true
        case .file, .directory: false
        }
    }

    /// Opens the file or the directory; nil where it is none.
    public func open() throws(FileError) -> (any DescriptorOwner)? {
        switch self {
        case .registry, .engine: nil
        case .file(let path, _): try path == "-" ? OpenFile(descriptor: dup(STDIN_FILENO), path: "standard input") : OpenFile.open(path)
        case .directory(let path, _): try Directory.open(path)
        }
    }
}

/// An image that can't be found where it is said to be.
public enum LocationError: DiagnosedError, Equatable {
    case noPath(String)
    case badID(String)
    case passwordInAddress

    public var diagnosis: Diagnosis {
        switch self {
        case .noPath(let text):
            Diagnosis("\"\(text)\" names no image", hint: "write docker-archive:FILE[:NAME], oci:DIRECTORY[:REF], oci-archive:FILE[:REF] or docker-daemon:NAME")
        case .passwordInAddress:
            Diagnosis(
                "the address holds a user's name or password, which others would see",
                hint: "put them in auth.d instead: see docs/trust.md, or d2a config --help")
        case .badID(let text):
            Diagnosis("\"\(text)\" is not an image ID", hint: "IDs are sha512- and 128 digits of 0-9a-f, or sha256- and 64, or their beginning")
        }
    }
}
