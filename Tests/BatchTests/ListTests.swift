@testable import Files
import Foundation
import Testing

@testable import Batch

/// Lists of every kind, and the records of what became of them.
@Suite struct BatchListTests {
    private func references(_ text: String) throws -> [String] { try BatchList(text: text, name: "list").items.map(\.reference) }

    @Test func lines() throws {
        let text = "\u{FEFF}# all of ours\r\n\nbusybox\r\n  a/b:c@sha256:0 \nbusybox # again\n#no\n[::1]:5000/a\nlast#1"
        #expect(try references(text) == ["busybox", "a/b:c@sha256:0", "[::1]:5000/a", "last#1"])
        #expect(throws: BatchError.emptyList("list")) { try references("# nothing\n\n") }
    }

    @Test func objects() throws {
        let list = try BatchList(
            text:
                "busybox\n{\"reference\":\"a b\",\"platform\":\"linux/arm64\",\"output\":\"x.aci\",\"compression\":\"xz\",\"compressionLevel\":9,\"image\":null}",
            name: "list")
        #expect(list.items[1] == BatchItem("a b", .init(platform: "linux/arm64", output: "x.aci", compression: "xz", compressionLevel: 9)))
        for bad in [
            "{", "{}", #"{"reference":1}"#, #"{"reference":""}"#, #"{"reference":"a","ouput":"b"}"#, #"{"reference":"a","output":"../b"}"#,
            #"{"reference":"a","output":".b"}"#, #"{"reference":"a","compressionLevel":"high"}"#,
        ] {
            #expect { try references("busybox\n" + bad) } throws: { error in
                if case BatchError.badLine("list", 2, _)? = error as? BatchError { true } else { false }
            }
        }
    }

    @Test func rows() throws {
        let text = "# exported\nplatform, reference ,output\n,busybox,\nlinux/arm64,\"a,\"\"b\"\"\",x.aci\n"
        let items = try BatchList(text: text, name: "list").items
        #expect(items == [BatchItem("busybox"), BatchItem("a,\"b\"", .init(platform: "linux/arm64", output: "x.aci"))])
        #expect(try BatchList(text: "reference\r\na\r\nb\r\n", name: "list").items.count == 2)
        for bad in ["a,b,c,d", "\"a", "\"a\"b", "linux/arm64,,x"] {
            #expect(throws: BatchError.self) { try references("platform,reference,output\n" + bad) }
        }
    }

    @Test func wildcards() throws {
        let directory = NSTemporaryDirectory() + "/d2a-list-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for name in ["b.tar", "a.tar", "c [1].tar"] { try Data().write(to: URL(fileURLWithPath: "\(directory)/\(name)")) }
        #expect(
            try references("\(directory)/[ab].tar\ndocker-archive:\(directory)/?.tar") == ["a", "b"].map { "\(directory)/\($0).tar" }
                + ["a", "b"].map { "docker-archive:\(directory)/\($0).tar" })
        // A name that is there as it stands isn't a pattern.
        #expect(try references("\(directory)/c [1].tar") == ["\(directory)/c [1].tar"])
        #expect(try references("reference\n\(directory)/*.tar").count == 3)
        #expect(throws: BatchError.self) { try references("\(directory)/none*") }
    }

    /// What is written is read as the same.
    @Test func writing() throws {
        let references = ["busybox", "a b", "#x", "{x", " x", "x*", "reference", "a,b", "\"", "line\nbreak", "é", "[::1]:5000/a:b"]
        let list = BatchList(
            references.map { BatchItem($0) } + [BatchItem("busybox", .init(platform: "linux/arm64", image: "b", compression: "none", compressionLevel: 0))])
        #expect(try BatchList(text: "# failed\n" + list.text, name: "list") == list)
        #expect(list.text.hasPrefix("busybox\n{"))
    }

    @Test func records() throws {
        let path = NSTemporaryDirectory() + "/d2a-records-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        let directory = try BatchDirectory(in: Directory.make(path))
        let item = BatchItem("127.0.0.1:5000/a/b\u{1B}:c", .init(platform: "linux/arm64"))
        #expect(directory.record(of: item) == nil)
        var record = BatchRecord(item)
        record.failure = .init(cause: .network, message: "no", hint: nil)
        try directory.write(record)
        #expect(directory.record(of: item) == record && directory.record(of: BatchItem(item.reference)) == nil)
        (record.status, record.output, record.sizeAfter, record.failure) = (.done, "x.aci", 3, nil)
        try directory.write(record)
        #expect(try directory.records() == [record])
        #expect(!directory.hasOutput(of: record))
        for (text, isThere) in [("ab", false), ("abc", true)] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path + "/x.aci"))
            #expect(directory.hasOutput(of: record) == isThere)
        }
        // What is no record is none; what the dead left behind goes, and nothing else.
        let name = item.key + ".json"
        #expect(name.allSatisfy { $0.isASCII && $0 != "/" } && name.count < 140)
        try Data("{".utf8).write(to: URL(fileURLWithPath: "\(path)/\(BatchDirectory.name)/\(name)"))
        #expect(directory.record(of: item) == nil)
        let own = PendingFile.host
        for name in [".new-\(own)-4194999-x", ".new-\(own)-\(getpid())-x", ".new-elsewhere-4194999-x"] {
            try Data().write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        }
        directory.sweep()
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: path).sorted()
                == [BatchDirectory.name, ".new-\(own)-\(getpid())-x", ".new-elsewhere-4194999-x", "x.aci"].sorted())
    }
}
