/// Names as the appc spec allows them (`types.md`), and how any text is made one.
public enum ACIdentifier {
    /// Lower-case letters, digits and `- . _ ~ /`, with a letter or digit at both ends.
    public static func isValid(_ text: String) -> Bool { isName(text, allowed: isAllowed) }

    /// Lower-cases, replaces every other character by one `_`, and strips both ends.
    /// - Returns: nil where nothing is left.
    public static func sanitized(_ text: String) -> String? {
        sanitize(text, replacement: "_", allowed: isAllowed)
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool { isAlphanumeric(scalar) || "-._~/".unicodeScalars.contains(scalar) }
}

/// Lower-case letters, digits and `-`: names of apps, volumes, ports and mount points.
public enum ACName {
    public static func isValid(_ text: String) -> Bool { isName(text, allowed: isAllowed) }

    /// - Returns: nil where nothing is left.
    public static func sanitized(_ text: String) -> String? {
        sanitize(text, replacement: "-", allowed: isAllowed)
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool { isAlphanumeric(scalar) || scalar == "-" }
}

private func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
    ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)
}

private func isName(_ text: String, allowed: (Unicode.Scalar) -> Bool) -> Bool {
    let scalars = text.unicodeScalars
    guard let first = scalars.first, let last = scalars.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last) && scalars.allSatisfy(allowed)
}

private func sanitize(_ text: String, replacement: Unicode.Scalar, allowed: (Unicode.Scalar) -> Bool) -> String? {
    var scalars = text.lowercased().unicodeScalars.map { allowed($0) ? $0 : replacement }
    while let last = scalars.last, !isAlphanumeric(last) { scalars.removeLast() }
    let trimmed = scalars.drop { !isAlphanumeric($0) }
    guard !trimmed.isEmpty else { return nil }
    var result = String.UnicodeScalarView()
    result.append(contentsOf: trimmed)
    return String(result)
}
