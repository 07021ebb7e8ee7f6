import AppC

public enum Discovery {
    /// The names to ask for, one after the other: `a.b/c/d`, `a.b/c`, `a.b`.
    public static func pages(of name: String) -> [String] {
        let parts = name.split(separator: "/")
        return parts.indices.reversed().map { parts[...$0].joined(separator: "/") }
    }

    /// What a page says of a name; labels that are missing are `version=latest` and this machine's.
    public static func read(_ page: [UInt8], for name: AppName) -> DiscoveredImage {
        var values = ["name": name.name, "version": "latest"]
        for label in name.labels { values[label.name] = label.value }
        var result = DiscoveredImage()
        for tag in MetaTag.all(inPage: page) {
            let words = tag.content.split(whereSeparator: \.isWhitespace).map(String.init)
            guard words.count == 2, name.name.hasPrefix(words[0]) else { continue }
            switch tag.name {
            case "ac-discovery":
                values["ext"] = "aci"
                guard let image = render(words[1], values) else { continue }
                values["ext"] = "aci.asc"
                guard let signature = render(words[1], values), image != signature else { continue }
                result.endpoints.append(.init(image: image, signature: signature))
            case "ac-discovery-pubkeys": result.keys.append(words[1])
            default: break
            }
        }
        return result
    }

    /// - Returns: nil where something in braces has no value: the template is for somebody else.
    static func render(_ template: String, _ values: [String: String]) -> String? {
        var result = ""
        var rest = Substring(template)
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}"), let value = values[String(rest[rest.index(after: open)..<close])] else { return nil }
            result += rest[..<open] + value
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }
}
