/// Bytes as text that can be shown anywhere and read back: what isn't UTF-8 or can't be seen is `\xNN`, a byte each, and a
/// backslash is doubled.
public func escaped(_ bytes: some Sequence<UInt8>) -> String {
    var result = ""
    var parser = Unicode.UTF8.ForwardParser()
    // The parser doesn't say which bytes were wrong: they are taken one by one.
    let all = Array(bytes)
    var position = 0
    while position < all.count {
        var rest = all[position...].makeIterator()
        parser = Unicode.UTF8.ForwardParser()
        if case .valid(let units) = parser.parseScalar(from: &rest) {
            let scalar = Unicode.UTF8.decode(units)
            if scalar == "\\" {
                result += "\\\\"
            } else if isVisible(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                for unit in units { result += hexadecimal(unit) }
            }
            position += units.count
        } else {
            result += hexadecimal(all[position])
            position += 1
        }
    }
    return result
}

/// The same for what is text already.
public func escaped(_ text: String) -> String { escaped(text.utf8) }

private func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return "\\x" + (digits.utf8.count < 2 ? "0" : "") + digits
}

/// Whether a character shows itself, and changes nothing of those around it.
private func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
    case .spaceSeparator: scalar == " "
    default: true
    }
}
