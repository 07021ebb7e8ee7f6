/// A piece of HTML in which every text is escaped.
public struct Markup: Sendable {
    public private(set) var html: String

    private init(html: String) { self.html = html }

    /// Whatever the text is, it is shown as text: markup, quotes, and what isn't a character of HTML.
    public static func text(_ text: String) -> Markup {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            default: result.unicodeScalars.append(scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value) ? "\u{FFFD}" : scalar)
            }
        }
        return Markup(html: result)
    }

    /// - Parameters:
    ///   - name, attributes: of the program's own; an attribute's value may be any text.
    public static func element(_ name: String, _ attributes: [(String, String)] = [], _ children: [Markup] = []) -> Markup {
        let words = attributes.map { " \($0)=\"\(text($1).html)\"" }.joined()
        return Markup(html: "<\(name)\(words)>" + children.map(\.html).joined() + "</\(name)>")
    }

    public static func element(_ name: String, _ attributes: [(String, String)] = [], _ text: String) -> Markup {
        element(name, attributes, [.text(text)])
    }

    public static func join(_ pieces: [Markup]) -> Markup { Markup(html: pieces.map(\.html).joined()) }
}
