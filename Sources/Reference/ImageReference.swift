import Diagnostics
import Digest

/// A Docker image name as people type it, made whole: `busybox` is `registry-1.docker.io/library/busybox:latest`.
///
/// The grammar is that of distribution/reference; the first path element is a registry only if it
/// holds a `.` or a `:` or is `localhost`.
public struct ImageReference: Sendable, Hashable, CustomStringConvertible {
    /// Host and, where given, port: `127.0.0.1:5000`. Docker Hub is always `registry-1.docker.io`.
    public let registry: String
    /// `library/busybox`
    public let repository: String
    /// nil only where a digest was given without a tag.
    public let tag: String?
    public let digest: Digest?
    /// As it was typed, but for `docker://`.
    public let original: String

    public static let hub = "registry-1.docker.io"

    /// Reads a name with or without `docker://` in front.
    /// - Throws: ``ReferenceError`` saying which part is wrong.
    public init(_ text: String) throws(ReferenceError) {
        func fail(_ reason: String) -> ReferenceError { ReferenceError(text: text, reason: reason) }
        var rest = Substring(text)
        for prefix in ["docker://", "docker:"] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
            break
        }
        guard !rest.isEmpty else { throw fail("it is empty") }
        if let scheme = rest.firstRange(of: "://") {
            throw fail("\"\(rest[..<scheme.upperBound])\" can't stand before it; only docker:// can")
        }
        original = String(rest)

        if let at = rest.firstIndex(of: "@") {
            let digestText = rest[rest.index(after: at)...]
            guard let digest = Digest(digestText) else { throw fail("\"\(digestText)\" is not a digest like sha256:<64 hex digits>") }
            self.digest = digest
            rest = rest[..<at]
        } else {
            digest = nil
        }

        let lastSlash = rest.lastIndex(of: "/")
        if let colon = rest.lastIndex(of: ":"), lastSlash.map({ colon > $0 }) ?? true {
            let tag = rest[rest.index(after: colon)...]
            guard Self.isTag(tag) else { throw fail("\"\(tag)\" is not a tag (letters, digits, _ . - ; at most 128)") }
            self.tag = String(tag)
            rest = rest[..<colon]
        } else {
            tag = digest == nil ? "latest" : nil
        }

        var registry = Self.hub
        if let slash = rest.firstIndex(of: "/") {
            let first = rest[..<slash]
            if first == "localhost" || first.contains(".") || first.contains(":") {
                guard Self.isHost(first) else { throw fail("\"\(first)\" is not a host name with an optional port") }
                registry = String(first)
                rest = rest[rest.index(after: slash)...]
            }
        }
        if registry == "docker.io" || registry == "index.docker.io" { registry = Self.hub }
        self.registry = registry

        var repository = String(rest)
        if registry == Self.hub, !repository.isEmpty, !repository.contains("/") { repository = "library/" + repository }
        guard repository.utf8.count <= 255 else { throw fail("the repository is longer than 255 bytes") }
        let components = repository.split(separator: "/", omittingEmptySubsequences: false)
        guard let bad = components.first(where: { !Self.isPathComponent($0) }) else {
            self.repository = repository
            return
        }
        if bad.contains(where: \.isUppercase) { throw fail("the repository must be lower case") }
        throw fail("\"\(bad)\" can't stand in a repository (lower-case letters and digits, separated by . _ __ or -)")
    }

    /// The whole name: `registry/repository[:tag][@digest]`.
    public var description: String {
        var text = "\(registry)/\(repository)"
        if let tag { text += ":\(tag)" }
        if let digest { text += "@\(digest)" }
        return text
    }

    /// What a manifest is asked for by: the digest where there is one, else the tag.
    public var manifestReference: String { digest?.description ?? tag ?? "latest" }

    static func isTag(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128 else { return false }
        return isWord(first) && text.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    private static func isWord(_ byte: UInt8) -> Bool { isLowerAlphanumeric(byte | (isUpper(byte) ? 0x20 : 0)) || byte == UInt8(ascii: "_") }
    private static func isUpper(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

    static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    /// `alphanumeric (separator alphanumeric)*` with separators `.`, `_`, `__` and any number of `-`.
    static func isPathComponent(_ text: Substring) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isLowerAlphanumeric(first), isLowerAlphanumeric(last) else { return false }
        var separator: [UInt8] = []
        for byte in bytes {
            if isLowerAlphanumeric(byte) {
                guard separator.isEmpty || isSeparator(separator) else { return false }
                separator = []
            } else {
                separator.append(byte)
            }
        }
        return true
    }

    private static func isSeparator(_ bytes: [UInt8]) -> Bool {
        bytes == Array(".".utf8) || bytes == Array("_".utf8) || bytes == Array("__".utf8) || bytes.allSatisfy { $0 == UInt8(ascii: "-") }
    }

    /// A DNS name or IPv4 address, or an IPv6 address in brackets, and a port.
    static func isHost(_ text: Substring) -> Bool {
        var host = text
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { return false }
            let inside = text[text.index(after: text.startIndex)..<close]
            guard !inside.isEmpty, inside.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else { return false }
            let after = text[text.index(after: close)...]
            return after.isEmpty || (after.first == ":" && isPort(after.dropFirst()))
        }
        if let colon = text.firstIndex(of: ":") {
            guard isPort(text[text.index(after: colon)...]) else { return false }
            host = text[..<colon]
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last else { return false }
            return first != UInt8(ascii: "-") && last != UInt8(ascii: "-")
                && label.utf8.allSatisfy { isLowerAlphanumeric($0) || isUpper($0) || $0 == UInt8(ascii: "-") }
        }
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(text) else { return false }
        return (1...65535).contains(port)
    }
}

/// A name that is not an image reference.
public struct ReferenceError: DiagnosedError, Equatable {
    public let text: String
    public let reason: String

    public var diagnosis: Diagnosis {
        Diagnosis("\"\(text)\" is not an image name: \(reason)", hint: "names look like busybox, nickethier/rkt:latest or localhost:5000/a/b@sha256:…")
    }
}
