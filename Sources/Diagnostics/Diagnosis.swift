/// What a person is told when something fails: what went wrong and where, and what to do next.
///
/// Every module has its own error type; all of them conform to ``DiagnosedError`` so that a command
/// can print any of them in the same way, in one to three lines.
public struct Diagnosis: Sendable, Equatable {
    /// What went wrong and where, without a final full stop, e.g. `tag "v9" not found in 127.0.0.1:5000/a/b`.
    public var message: String
    /// What to do next, or nil where there is nothing useful to say.
    public var hint: String?

    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }

    /// The lines to print on standard error, each beginning with the program's name.
    public func lines(program: String) -> String {
        var text = "\(program): \(printable(message))\n"
        if let hint { text += "\(program): \(printable(hint))\n" }
        return text
    }
}

/// An error that can explain itself to a person.
public protocol DiagnosedError: Error, CustomStringConvertible {
    var diagnosis: Diagnosis { get }
}

extension DiagnosedError {
    public var description: String { diagnosis.message }
}

/// `text` with control characters shown as `\xNN`, so that a hostile name can't drive a terminal.
public func printable(_ text: String) -> String {
    var result = ""
    result.reserveCapacity(text.utf8.count)
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 0x0A: result += "\\n"
        case 0..<0x20, 0x7F..<0xA0:
            let hex = String(scalar.value, radix: 16)
            result += "\\x" + (hex.count < 2 ? "0" + hex : hex)
        // Bidirectional controls can make a line read as something else.
        case 0x202A...0x202E, 0x2066...0x2069: result += "\\u{" + String(scalar.value, radix: 16) + "}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
