/// One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1).
struct Challenge: Equatable {
    /// Lower case: `bearer`, `basic`.
    var scheme: String
    /// Names in lower case.
    var parameters: [String: String]

    /// All challenges of a header's value: several may stand in one, separated by commas as their parameters are.
    static func parse(_ text: String) -> [Challenge] {
        var result: [Challenge] = []
        var rest = Substring(text)
        func isTokenCharacter(_ character: Character) -> Bool { !character.isWhitespace && !",=\"".contains(character) }
        func skip(_ characters: String) { rest = rest.drop { characters.contains($0) || $0.isWhitespace } }
        func token() -> String {
            let word = rest.prefix(while: isTokenCharacter)
            rest = rest[word.endIndex...]
            return String(word)
        }
        while true {
            skip(",")
            guard !rest.isEmpty else { return result }
            let word = token()
            guard !word.isEmpty else { return result }
            let spaced = rest.first?.isWhitespace ?? true
            skip("")
            guard rest.first == "=", !result.isEmpty || !spaced else {
                result.append(Challenge(scheme: word.lowercased(), parameters: [:]))
                continue
            }
            rest = rest.dropFirst()
            skip("")
            let value = rest.first == "\"" ? quoted(&rest) : token()
            if !result.isEmpty { result[result.count - 1].parameters[word.lowercased()] = value }
        }
    }

    private static func quoted(_ rest: inout Substring) -> String {
        rest = rest.dropFirst()
        var value = ""
        while let character = rest.popFirst(), character != "\"" {
            value.append(character == "\\" ? rest.popFirst() ?? character : character)
        }
        return value
    }
}
