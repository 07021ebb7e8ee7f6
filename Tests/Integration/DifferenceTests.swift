import Archive
import Files
import Foundation
import TestSupport
import Testing

private let ready = Lab.isRoot && Lab.has("dockerd") && Lab.has("skopeo") && Lab.has("umoci")

/// What Docker and umoci show of stacks made by hand, beside what we show. Where they differ from us, docs/layers.md has a row
/// that says why; and it has no other row.
@Suite(.enabled(if: ready, "needs root, dockerd, skopeo and umoci (make setup)"))
struct DifferenceTests {
    @Test func everyDifferenceIsExplained() throws {
        let place = try Place()
        let engine = try Engine(place)
        for stack in HandMadeStack.all {
            try FileManager.default.createDirectory(atPath: "\(place.path)/\(stack.name)", withIntermediateDirectories: true)
            try stack.write(to: "\(place.path)/\(stack.name)/image.docker")
        }
        let outcome = try place.shell(
            """
            export DOCKER_HOST=\(engine.socket)
            for name in \(HandMadeStack.all.map(\.name).joined(separator: " ")); do
                cd $name
                docker2aci --quiet --compression=none image.docker 2>ours.err && mv stack-$name.aci ours.tar
                docker load -q -i image.docker >docker.err 2>&1 && docker create --network none --name $name stack:$name >/dev/null 2>>docker.err \\
                    && docker export -o docker.tar $name 2>>docker.err
                docker rm $name >/dev/null 2>&1
                skopeo copy -q docker-archive:image.docker oci:oci:latest 2>umoci.err && umoci unpack --image oci:latest bundle 2>>umoci.err \\
                    && tar -C bundle/rootfs --xattrs --xattrs-include='*' --numeric-owner --format=pax -cf umoci.tar .
                cd ..
            done
            """)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: "/tmp/escaped-by-link"))

        var rows: [String] = []
        for stack in HandMadeStack.all {
            let ours = try Self.tree("\(place.path)/\(stack.name)/ours.tar", below: "rootfs/")
            for tool in ["docker", "umoci"] {
                let theirs = try Self.tree("\(place.path)/\(stack.name)/\(tool).tar", below: "")
                rows += Self.differences(ours, theirs).map { "| \(stack.name) | \(tool) | \($0) |" }
            }
        }
        if let output = ProcessInfo.processInfo.environment["D2A_DIFFERENCES"] {
            try rows.joined(separator: "\n").write(toFile: output, atomically: true, encoding: .utf8)
        }
        let explained = try Self.explained()
        let actual = Set(rows)
        #expect(actual.subtracting(explained) == [], "these are not in docs/layers.md")
        #expect(explained.subtracting(actual) == [], "docs/layers.md has these, and they aren't so")
        #expect(HandMadeStack.all.count >= 40)
    }

    /// The rows of the table in docs/layers.md, without their last column, which says why and must not be empty.
    private static func explained() throws -> Set<String> {
        let text = try String(contentsOfFile: Lab.package + "/docs/layers.md", encoding: .utf8)
        let names = Set(HandMadeStack.all.map(\.name))
        var rows: Set<String> = []
        for line in text.split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.dropFirst(2).components(separatedBy: " | ")
            guard cells.count == 6, names.contains(cells[0]) else { continue }
            #expect(cells[5].count > 5, "no reason: \(line)")
            rows.insert("| " + cells.prefix(5).joined(separator: " | ") + " |")
        }
        return rows
    }

    /// `path | what we show | what they show`, for all that isn't the same.
    private static func differences(_ ours: [String: String]?, _ theirs: [String: String]?) -> [String] {
        guard let ours, let theirs else {
            return ours == nil && theirs == nil ? [] : ["the image | \(ours == nil ? "refused" : "fine") | \(theirs == nil ? "refused" : "fine")"]
        }
        return Set(ours.keys).union(theirs.keys).sorted().compactMap { path in
            ours[path] == theirs[path] ? nil : "`\(path)` | \(ours[path] ?? "absent") | \(theirs[path] ?? "absent")"
        }
    }

    /// Every path of a tar with what is known of it; nil where there is no tar.
    private static func tree(_ path: String, below prefix: String) throws -> [String: String]? {
        guard let file = try? OpenFile.open(path) else { return nil }
        let reader = try TarReader(FileSource(file))
        var origins: [String: String] = [:]
        var names: [String: [String]] = [:]
        var texts: [String: String] = [:]
        func name(_ bytes: [UInt8]) -> String? {
            var text = String(
                decoding: bytes.flatMap { byte in byte < 0x21 || byte > 0x7E ? Array("%\(String(byte, radix: 16))".utf8) : [byte] }, as: UTF8.self)
            if text.hasPrefix("./") { text.removeFirst(2) }
            guard text.hasPrefix(prefix) else { return nil }
            text.removeFirst(prefix.count)
            if text.hasSuffix("/") { text.removeLast() }
            return text.replacing(String(repeating: "n", count: 200), with: "LONG")
        }
        while let entry = try reader.next() {
            // What the engine itself puts into a container, and we into an image.
            guard let path = name(entry.path), !path.isEmpty, !["dev", "proc", "sys", "etc", ".dockerenv"].contains(path.components(separatedBy: "/")[0]) else {
                continue
            }
            if entry.kind == .hardLink {
                let origin = origins[name(entry.linkTarget)!]!
                origins[path] = origin
                names[origin]!.append(path)
                continue
            }
            origins[path] = path
            names[path] = [path]
            var text = "\(entry.kind) \(String(entry.mode, radix: 8)) \(entry.uid):\(entry.gid)"
            // A link's mode and time mean nothing; a time of our days is when a tool made the thing.
            if entry.kind == .symbolicLink { text = "link \(entry.uid):\(entry.gid)" }
            if entry.kind != .symbolicLink { text += entry.mtime > 1_700_000_000 && entry.mtime < 3_000_000_000 ? " now" : " @\(entry.mtime)" }
            if entry.kind == .symbolicLink { text += " to " + name(Array(prefix.utf8) + entry.linkTarget)! }
            if entry.kind == .characterDevice || entry.kind == .blockDevice { text += " \(entry.deviceMajor),\(entry.deviceMinor)" }
            if entry.kind == .file {
                var content: [UInt8] = []
                try reader.data { content += $0 }
                text += " \"\(String(decoding: content, as: UTF8.self))\""
            }
            for attribute in entry.xattrs { text += " " + String(decoding: attribute.name, as: UTF8.self) + "=\(attribute.value.count) bytes" }
            texts[path] = text
        }
        return origins.mapValues { origin in texts[origin]! + (names[origin]!.count > 1 ? " of " + names[origin]!.sorted().joined(separator: " ") : "") }
    }
}
