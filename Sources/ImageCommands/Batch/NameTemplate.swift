import AppC
import ArgumentParser
import Diagnostics
import Image

/// How ACIs are called: text in which `{…}` stands for what an image is.
struct NameTemplate: Sendable {
    private enum Part: Sendable { case text(String), field(Field) }
    enum Field: String, CaseIterable, Sendable { case registry, repository, name, tag, digest, os, arch }

    private let parts: [Part]

    /// - Throws: `ValidationError` for what is no template.
    init(_ text: String) throws {
        var parts: [Part] = []
        var rest = Substring(text)
        while let open = rest.firstIndex(of: "{") {
            parts.append(.text(String(rest[..<open])))
            guard let close = rest[open...].firstIndex(of: "}"), let field = Field(rawValue: String(rest[rest.index(after: open)..<close])) else {
                throw ValidationError("--name-template \(text): it may have \(Field.allCases.map { "{\($0)}" }.joined(separator: ", "))")
            }
            parts.append(.field(field))
            rest = rest[rest.index(after: close)...]
        }
        parts.append(.text(String(rest)))
        self.parts = parts
        guard !text.contains("/"), !text.hasPrefix(".") else { throw ValidationError("--name-template \(text): it is the name of a file, not a path") }
    }

    /// - Parameter image: nil while all that is known is its name.
    /// - Returns: nil where more must be known.
    func name(_ name: ImageName, _ image: SourceImage?) -> String? {
        var result = ""
        for part in parts {
            switch part {
            case .text(let text): result += text
            case .field(.registry): result += name.registry ?? "local"
            case .field(.repository): result += name.repository
            case .field(.name): result += name.repository.split(separator: "/").last ?? ""
            case .field(.tag): result += name.tag ?? "none"
            case .field(let field):
                guard let image else { return nil }
                let config = try? CanonicalJSON.decode(JSONValue.self, from: image.config)
                switch field {
                case .os: result += config?["os"]?.string ?? "linux"
                case .arch: result += config?["architecture"]?.string ?? "unknown"
                default: result += String((image.manifestDigest?.hex ?? image.id).suffix(64).prefix(12))
                }
            }
        }
        result = String(result.map { $0 == "/" ? "-" : $0 }.prefix(200))
        return result.hasPrefix(".") ? "_" + result : result
    }
}
