import CXML

/// An element of a small XML document.
struct XMLElement {
    var name: String
    var text: String
    var children: [XMLElement]

    /// The text of the first child of a name.
    subscript(name: String) -> String? { children.first { $0.name == name }?.text }

    /// Entities of the document's own are not replaced, and nothing is loaded.
    /// - Returns: nil for what is no XML, or is nested more deeply than any answer of a store.
    init?(parsing bytes: [UInt8]) {
        let options = Int32(XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue | XML_PARSE_NONET.rawValue)
        let document = bytes.withUnsafeBytes { xmlReadMemory($0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), nil, nil, options) }
        guard let document else { return nil }
        defer { xmlFreeDoc(document) }
        guard let root = xmlDocGetRootElement(document) else { return nil }
        self.init(root, depth: 0)
    }

    private init?(_ node: xmlNodePtr, depth: Int) {
        guard depth < 16 else { return nil }
        (name, text, children) = (Self.string(node.pointee.name), "", [])
        var next = node.pointee.children
        while let child = next {
            switch child.pointee.type {
            case XML_ELEMENT_NODE:
                guard let element = XMLElement(child, depth: depth + 1) else { return nil }
                children.append(element)
            case XML_TEXT_NODE, XML_CDATA_SECTION_NODE: text += Self.string(child.pointee.content)
            default: break
            }
            next = child.pointee.next
        }
    }

    private static func string(_ bytes: UnsafePointer<xmlChar>?) -> String {
        bytes.map { String(decodingCString: UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self), as: UTF8.self) } ?? ""
    }
}
