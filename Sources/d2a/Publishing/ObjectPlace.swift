import AppC
import ArgumentParser
import Credentials
import Files
import Publishing

/// A bucket of an object store, or the part of it below a prefix. The helper talks to it: keys reach it in a file without a name.
struct ObjectPlace: PublishingPlace {
    let url: String
    private let keys: OpenFile

    /// - Throws: ``CredentialError``
    init(_ url: String) throws {
        self.url = url
        keys = try OpenFile.inMemory("keys", CanonicalJSON.encode(ObjectStoreAccess()))
    }

    func put(_ file: OpenFile, as name: String) throws {
        try run(["put", "--type=\(mediaType(ofPublished: name))", "--", url, name], file)
    }

    func read(_ name: String) throws -> [UInt8]? {
        let file = try OpenFile.inMemory(name)
        do { try run(["get", "--missing=\(Self.missing)", "--", url, name], file) } catch let code as ExitCode where code.rawValue == Self.missing {
            return nil
        }
        try file.seek(to: 0)
        return try file.readAll(limit: 16 << 20)
    }

    /// Brings a file of any size.
    /// - Returns: whether it is there.
    func fetch(_ name: String, into file: OpenFile) throws -> Bool {
        do { try run(["get", "--whole", "--missing=\(Self.missing)", "--", url, name], file) } catch let code as ExitCode where code.rawValue == Self.missing {
            return false
        }
        return true
    }

    func files() throws -> [PublishedFile] {
        let report = try OpenFile.inMemory("report")
        try run(["list", "--", url, ""], report)
        return try Helper.read([PublishedFile].self, from: report)
    }

    /// Brings all objects of a directory, but not of those below it, as files.
    func fetch(below name: String, into directory: Directory) throws { try run(["fetch", "--", url, name + "/"], directory) }

    private static let missing: Int32 = 3

    private func run(_ words: [String], _ file: any DescriptorOwner) throws {
        try keys.seek(to: 0)
        try Helper.run(["objects"] + words, descriptors: [keys, file])
    }
}
