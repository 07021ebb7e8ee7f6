/// The page that leads from names to images (appc spec `discovery.md`), and shows people what there is.
public struct DiscoveryPage {
    /// Where what is published is found, without a slash at the end; nil for the root of each name's own host.
    public var url: String?
    /// All that is published: files' names and their sizes in bytes.
    public var files: [PublishedFile]

    public init(url: String?, files: [PublishedFile]) { (self.url, self.files) = (url, files) }

    /// The name of the directory of keys, a file each.
    public static let keys = "keys"
    public static let file = "index.html"
    /// How a page of ours is told from another, which is left alone.
    public static let generator = #"<meta name="generator" content="d2a">"#

    /// Of the images, all hosts that names begin with.
    private var hosts: [String] { Set(images.map { String($0.name.prefix { $0 != "/" }) }).sorted() }
    private var images: [PublishedFile] { files.filter { $0.name.hasSuffix(".aci") && $0.name.contains("/") } }

    /// The tags alone, a line each.
    public var tags: String {
        hosts.flatMap { host in
            let url = self.url ?? "https://\(host)"
            return [tag("ac-discovery", "\(host) \(url)/{name}-{version}-{os}-{arch}.{ext}")]
                + files.filter { $0.name.hasPrefix(Self.keys + "/") }.map { tag("ac-discovery-pubkeys", "\(host) \(url)/\($0.name)") }
        }.joined()
    }

    private func tag(_ name: String, _ content: String) -> String { "<meta name=\"\(name)\" content=\"\(escaped(content))\">\n" }

    public func html() -> String {
        let signed = Set(files.map(\.name))
        let rows = images.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }.map { image in
            let link = escaped(image.name)
            return "<tr><td><a href=\"\(link)\">\(escaped(String(image.name.dropLast(4))))</a></td><td>\(image.size)</td>"
                + "<td>\(signed.contains(image.name + ".asc") ? "<a href=\"\(link).asc\">signed</a>" : "")</td></tr>\n"
        }
        let title = "Images of \(hosts.joined(separator: ", "))"
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8">
            \(Self.generator)
            \(tags)<title>\(escaped(title))</title>
            <style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}\
            th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ccc;overflow-wrap:anywhere}</style></head>
            <body><h1>\(escaped(title))</h1>
            <table><thead><tr><th>Name, version, system</th><th>Bytes</th><th></th></tr></thead><tbody>
            \(rows.joined())</tbody></table></body></html>

            """
    }
}

/// As text of HTML, or as an attribute's value.
private func escaped(_ text: String) -> String {
    text.map { ["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;"][$0] ?? String($0) }.joined()
}
