import AppC
import ArgumentParser
import Credentials
import Files
import ObjectStorage
import Program
import Publishing
import Sandbox

/// Works on an object store. Descriptors: 3 how it lets us in, 4 what is asked for: the report, or the object's bytes; or, to
/// put, the file whose bytes are sent; or, to fetch, a directory for all objects of one.
struct ObjectsHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "objects")

    enum Work: String, ExpressibleByArgument { case put, get, list, fetch }
    @Argument var work: Work
    @Argument(help: "s3://BUCKET[/PREFIX]") var place: String
    @Argument(help: "The object, or the beginning of all that are listed.") var key: String
    @Option(help: "The object's media type.") var type = "application/octet-stream"
    @Flag(help: "Get an object of any size, to a file that can be read too.") var whole = false
    @Option(help: "End so where there is no such object.") var missing: Int32 = 3

    func run() throws {
        let directory = work == .fetch ? Directory(descriptor: 4, path: key) : nil
        try becomeNobody(handingOver: directory == nil ? [] : [4])
        try Sandbox(writing: directory.map { [$0] } ?? [], network: true).enter()
        let access = try CanonicalJSON.decode(ObjectStoreAccess.self, from: OpenFile(descriptor: 3, path: "the keys").readAll(limit: 1 << 20))
        let bucket = try Bucket(place, access: access)
        if let directory { return try fetch(bucket, directory) }
        let file = OpenFile(descriptor: 4, path: key)
        switch work {
        case .put: try bucket.put(file, as: key, type: type)
        case .get where whole: guard try bucket.fetch(key, into: file) else { throw ExitCode(missing) }
        case .get:
            guard let bytes = try bucket.get(key, limit: 16 << 20) else { throw ExitCode(missing) }
            try bytes.withUnsafeBytes { try file.write($0) }
        case .list, .fetch:
            try file.write(CanonicalJSON.text(bucket.list(key).map { PublishedFile(name: $0.key, size: $0.size) }))
        }
    }

    private func fetch(_ bucket: Bucket, _ directory: Directory) throws {
        for object in try bucket.list(key) {
            let name = String(object.key.dropFirst(key.utf8.count))
            guard !name.isEmpty, name != ".", name != "..", !name.contains("/"), let bytes = try bucket.get(object.key, limit: 256 << 20) else { continue }
            try directory.write(bytes, atomicallyTo: name, durably: false)
        }
    }
}
