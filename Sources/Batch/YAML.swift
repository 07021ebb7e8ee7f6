import AppC

/// JSON's values as YAML 1.2 in block style: what people read and edit before they hand it to an engine.
enum YAML {
    static func text(_ value: JSONValue) -> String { block(value, "").joined(separator: "\n") + "\n" }

    /// The lines of a value, all with an indentation.
    private static func block(_ value: JSONValue, _ indent: String) -> [String] {
        switch value {
        case .object(let members) where !members.isEmpty:
            members.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.flatMap { entry("\(scalar($0.key)):", $0.value, indent) }
        case .array(let values) where !values.isEmpty:
            // What follows the dash stands where its first line would: the dash takes the place of two blanks.
            values.flatMap { value in
                let lines = block(value, indent + "  ")
                return ["\(indent)- " + lines[0].dropFirst(indent.count + 2)] + lines.dropFirst()
            }
        default: [indent + scalar(value)]
        }
    }

    private static func entry(_ head: String, _ value: JSONValue, _ indent: String) -> [String] {
        switch value {
        case .object(let members) where !members.isEmpty: [indent + head] + block(value, indent + "  ")
        case .array(let values) where !values.isEmpty: [indent + head] + block(value, indent + "  ")
        case .string(let text) where isLiteral(text):
            ["\(indent)\(head) |"] + text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map { "\(indent)  \($0)" }
        default: ["\(indent)\(head) \(scalar(value))"]
        }
    }

    private static func scalar(_ value: JSONValue) -> String {
        switch value {
        case .string(let text): scalar(text)
        case .object: "{}"
        case .array: "[]"
        // A number, true, false or null is written as in JSON.
        default: (try? CanonicalJSON.text(value)) ?? "null"
        }
    }

    /// Plain where nobody could take it for anything but a text, else in JSON's quotation marks, which are YAML's too.
    private static func scalar(_ text: String) -> String {
        let words: Set = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        let isPlain =
            text.unicodeScalars.first.map { $0.isASCII && ($0.properties.isAlphabetic || $0 == "/") } ?? false
            && text.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || "0123456789-._/".unicodeScalars.contains($0)) }
            && !words.contains(text.lowercased())
        return isPlain ? text : (try? CanonicalJSON.text(text)) ?? "\"\""
    }

    /// Lines that can stand as they are.
    private static func isLiteral(_ text: String) -> Bool {
        text.hasSuffix("\n") && !text.hasSuffix("\n\n") && text.first?.isWhitespace == false
            && text.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7F).contains($0.value) }
    }
}
