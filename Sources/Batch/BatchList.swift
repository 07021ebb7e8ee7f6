import AppC
import Files
import Glibc

/// A list of images, in any of three forms, told by what stands in it (docs/batch.md):
///
/// - lines: a reference each; a path with `*`, `?` or `[…]` stands for all files that fit;
/// - JSON, where a line begins with `{`: an object with `reference` and, if need be, more of ``BatchItem/Options``;
/// - CSV (RFC 4180), where the first line names columns, of which one is `reference`.
///
/// Empty lines, and lines that begin with `#`, mean nothing; in lines so does what follows a blank and `#`.
public struct BatchList: Sendable, Equatable {
    /// Each once, in the order of the list.
    public private(set) var items: [BatchItem] = []

    public init(_ items: [BatchItem]) { self.items = Self.distinct(items) }

    /// Reads the file at a path, or standard input for `-`.
    /// - Throws: ``BatchError``, `FileError`.
    public init(reading path: String) throws {
        let file = try path == "-" ? OpenFile(descriptor: dup(STDIN_FILENO), path: "standard input") : OpenFile.open(path)
        // For a million images and more.
        let bytes = try file.readAll(limit: 256 << 20)
        guard let text = String(validating: bytes, as: UTF8.self) else { throw BatchError.badLine(list: file.path, line: 1, reason: "it is not UTF-8") }
        try self.init(text: text, name: file.path)
    }

    /// - Parameter name: what messages call the list.
    /// - Throws: ``BatchError``
    public init(text: String, name: String) throws {
        var found: [BatchItem] = []
        var columns: [String]?
        var isFirst = true
        var lines = Lines(text)
        while let line = lines.next() {
            func bad(_ reason: String) -> BatchError { .badLine(list: name, line: lines.number, reason: reason) }
            let trimmed = line.trimmed
            if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
            defer { isFirst = false }
            if trimmed.hasPrefix("{") {
                found.append(try Self.item(json: trimmed, bad))
            } else if isFirst, let header = Self.header(trimmed) {
                columns = header
            } else if let columns {
                var row = line
                while !Self.isWhole(row), let more = lines.next() { row += "\n" + more }
                guard let cells = Self.cells(row) else { throw bad("a quotation mark has no end, or stands within a cell") }
                guard cells.count <= columns.count else { throw bad("it has \(cells.count) cells for \(columns.count) columns") }
                let item = try Self.item(Dictionary(uniqueKeysWithValues: zip(columns, cells.map(\.trimmed)).filter { !$1.isEmpty }), bad)
                found += try Self.expand(item, bad)
            } else {
                found += try Self.expand(BatchItem(Self.withoutComment(trimmed)), bad)
            }
        }
        items = Self.distinct(found)
        guard !items.isEmpty else { throw BatchError.emptyList(name) }
    }

    private static func distinct(_ items: [BatchItem]) -> [BatchItem] {
        var seen: Set<BatchItem> = []
        return items.filter { seen.insert($0).inserted }
    }

    // MARK: Writing

    /// The list as a text that is read as the same.
    public var text: String { items.map { Self.line($0) + "\n" }.joined() }

    /// One item: its reference alone where that says all.
    public static func line(_ item: BatchItem) -> String {
        let reference = item.reference
        let plain =
            item.options.isEmpty && reference == reference.trimmed && reference.first.map { !"#{".contains($0) } ?? false
            && !reference.contains { $0.isWhitespace || "*?[,\"".contains($0) } && reference.unicodeScalars.allSatisfy { $0.value >= 0x20 }
            && header(reference) == nil
        if plain { return reference }
        var members: [String: JSONValue] = ["reference": .string(reference)]
        if let value = item.options.platform { members["platform"] = .string(value) }
        if let value = item.options.image { members["image"] = .string(value) }
        if let value = item.options.output { members["output"] = .string(value) }
        if let value = item.options.compression { members["compression"] = .string(value) }
        if let value = item.options.compressionLevel { members["compressionLevel"] = .integer(Int64(value)) }
        // Strings and whole numbers can always be written.
        return try! CanonicalJSON.text(JSONValue.object(members))
    }

    // MARK: Items

    private static let names = ["reference", "platform", "image", "output", "compression", "compressionLevel"]

    private static func item(_ fields: [String: String], _ bad: (String) -> BatchError) throws -> BatchItem {
        guard let reference = fields["reference"], !reference.isEmpty else { throw bad("it has no reference") }
        if let output = fields["output"],
            output.isEmpty || output.hasPrefix(".") || output.utf8.count > 200 || output.contains(where: { $0 == "/" || $0 == "\0" })
        {
            throw bad("\"\(output)\" can't be the name of a file in the batch's directory")
        }
        let level = try fields["compressionLevel"].map { text in
            guard let level = Int(text) else { throw bad("\"\(text)\" is no compressionLevel") }
            return level
        }
        return BatchItem(
            reference,
            .init(
                platform: fields["platform"], image: fields["image"], output: fields["output"], compression: fields["compression"], compressionLevel: level))
    }

    private static func item(json text: String, _ bad: (String) -> BatchError) throws -> BatchItem {
        guard case .object(let members)? = try? CanonicalJSON.decode(JSONValue.self, from: Array(text.utf8)) else { throw bad("it is no JSON object") }
        var fields: [String: String] = [:]
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard names.contains(name) else { throw bad("nothing is called \"\(name)\": \(names.joined(separator: ", "))") }
            switch value {
            case .string(let text): fields[name] = text
            case .integer(let number) where name == "compressionLevel": fields[name] = String(number)
            case .null: break
            default: throw bad("\"\(name)\" is no text")
            }
        }
        return try item(fields, bad)
    }

    /// All files that a path with wildcards fits; what has none, or is there as it stands, is one item.
    private static func expand(_ item: BatchItem, _ bad: (String) -> BatchError) throws -> [BatchItem] {
        let prefix = ["docker-archive:", "oci-archive:", "oci:"].first { item.reference.hasPrefix($0) } ?? ""
        let path = String(item.reference.dropFirst(prefix.count))
        // A bracket alone may be that of an IPv6 address.
        guard path.contains(where: { "*?".contains($0) }) || (path.contains("[") && !path.hasPrefix("[") && !path.contains("://")) else { return [item] }
        guard access(path, F_OK) != 0 else { return [item] }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(path, 0, nil, &found) == 0 else { throw bad("no file is called \(path)") }
        let paths = (0..<Int(found.gl_pathc)).map { String(cString: found.gl_pathv[$0]!) }
        guard item.options.output == nil || paths.count == 1 else { throw bad("\(paths.count) files can't all be written to \(item.options.output!)") }
        return paths.map { BatchItem(prefix + $0, item.options) }
    }

    private static func withoutComment(_ line: String) -> String {
        var previous: Character = "x"
        for place in line.indices {
            if line[place] == "#", previous.isWhitespace { return String(line[..<place]).trimmed }
            previous = line[place]
        }
        return line
    }

    // MARK: CSV

    private static func header(_ line: String) -> [String]? {
        guard let cells = cells(line)?.map(\.trimmed), cells.contains("reference"), cells.allSatisfy({ names.contains($0) }), Set(cells).count == cells.count
        else { return nil }
        return cells
    }

    private static func isWhole(_ row: String) -> Bool { row.reduce(0) { $0 + ($1 == "\"" ? 1 : 0) }.isMultiple(of: 2) }

    /// - Returns: nil where quotation marks make no sense.
    private static func cells(_ row: String) -> [String]? {
        var result: [String] = []
        var rest = Substring(row)
        while true {
            if rest.first == "\"" {
                var cell = ""
                rest = rest.dropFirst()
                while true {
                    guard let quote = rest.firstIndex(of: "\"") else { return nil }
                    cell += rest[..<quote]
                    rest = rest[rest.index(after: quote)...]
                    guard rest.first == "\"" else { break }
                    cell += "\""
                    rest = rest.dropFirst()
                }
                result.append(cell)
            } else {
                let end = rest.firstIndex(of: ",") ?? rest.endIndex
                result.append(String(rest[..<end]))
                rest = rest[end...]
            }
            if rest.isEmpty { return result }
            guard rest.first == "," else { return nil }
            rest = rest.dropFirst()
        }
    }

    /// Lines of a text, whatever ends them.
    private struct Lines {
        private var rest: Substring
        private(set) var number = 0

        init(_ text: String) { rest = Substring(text).hasPrefix("\u{FEFF}") ? text.dropFirst() : Substring(text) }

        mutating func next() -> String? {
            guard !rest.isEmpty else { return nil }
            number += 1
            let end = rest.firstIndex { $0 == "\n" || $0 == "\r\n" }
            defer { rest = end.map { rest[rest.index(after: $0)...] } ?? "" }
            return String(rest[..<(end ?? rest.endIndex)])
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
