import CXML

/// A `<meta name="…" content="…">` of a page.
public struct MetaTag: Sendable, Hashable {
    public var name: String
    public var content: String

    /// All of a page, in its order. Pages are as broken as the web is: libxml2's parser makes the best of them.
    public static func all(inPage html: [UInt8]) -> [MetaTag] {
        let options = Int32(HTML_PARSE_RECOVER.rawValue | HTML_PARSE_NOERROR.rawValue | HTML_PARSE_NOWARNING.rawValue | HTML_PARSE_NONET.rawValue)
        let document = html.withUnsafeBytes { htmlReadMemory($0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), nil, nil, options) }
        guard let document else { return [] }
        defer { xmlFreeDoc(document) }
        var result: [MetaTag] = []
        var node = xmlDocGetRootElement(document)
        // In document order, without recursion: a page may be nested as deep as it likes.
        while let current = node {
            if current.pointee.type == XML_ELEMENT_NODE, text(current.pointee.name) == "meta", let name = attribute("name", current) {
                result.append(MetaTag(name: name, content: attribute("content", current) ?? ""))
            }
            if let child = current.pointee.children, current.pointee.type == XML_ELEMENT_NODE {
                node = child
                continue
            }
            var up: xmlNodePtr? = current
            while let here = up, here.pointee.next == nil { up = here.pointee.parent }
            node = up?.pointee.next
        }
        return result
    }

    private static func text(_ bytes: UnsafePointer<xmlChar>?) -> String? {
        bytes.map { String(decodingCString: UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self), as: UTF8.self) }
    }

    private static func attribute(_ name: String, _ node: xmlNodePtr) -> String? {
        guard let value = xmlGetProp(node, name) else { return nil }
        defer { xml_shim_free(value) }
        return text(value)
    }
}
