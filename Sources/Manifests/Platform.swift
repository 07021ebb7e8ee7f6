import Glibc

/// An operating system and processor, by Go's names (OCI image-spec `image-index.md`).
public struct Platform: Sendable, Hashable, CustomStringConvertible {
    public let os: String
    public let architecture: String
    public let variant: String?

    public init(os: String, architecture: String, variant: String? = nil) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    /// Reads `os/arch[/variant]`.
    public init(_ text: String) throws(SourceError) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { throw .badPlatform(text) }
        self.init(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
    }

    /// This machine's.
    public static let current: Platform = {
        #if arch(x86_64)
            Platform(os: "linux", architecture: "amd64")
        #elseif arch(arm64)
            Platform(os: "linux", architecture: "arm64")
        #else
            Platform(os: "linux", architecture: "unknown")
        #endif
    }()

    public var description: String { "\(os)/\(architecture)" + (variant.map { "/\($0)" } ?? "") }

    /// How well an offer suits: 0 not at all; the more the better.
    public func suitability(of offer: Platform) -> Int {
        guard os == offer.os, architecture == offer.architecture else { return 0 }
        // Every 64-bit ARM is v8: writing it or not is the same.
        let (wanted, offered) = architecture == "arm64" ? (variant ?? "v8", offer.variant ?? "v8") : (variant, offer.variant)
        if wanted == offered { return 3 }
        if wanted == nil { return 2 }
        return offered == nil ? 1 : 0
    }
}
