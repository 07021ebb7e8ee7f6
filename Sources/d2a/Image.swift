import AppC
import ArgumentParser
import Diagnostics
import Digest
import Files
import Program
import Glibc
import Reference
import Store

/// `d2a image`: what is in the store.
struct Image: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image",
        abstract: "Look at images, in the store and in files, and publish them.",
        subcommands: [
            List.self, CatManifest.self, Export.self, Extract.self, Render.self, Verify.self, CollectGarbage.self, Validate.self, PatchManifest.self,
            Publish.self,
            Remove.self,
        ])

    struct CatManifest: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "cat-manifest", abstract: "Print an image's manifest.")

        @OptionGroup var global: GlobalOptions
        @Option(help: ArgumentHelp("Whether to print it for people.", valueName: "true|false")) var prettyPrint = true
        @Argument(help: "An ID, its beginning, the name it was fetched by, or an ACI file.") var image: String

        func run() throws {
            if OpenFile.isFile(image) { return try Helper.run(["validate", "--manifest", "--", image], descriptors: [OpenFile.open(image)]) }
            let store = try global.store()
            print(try CanonicalJSON.text(store.manifest(store.find(image)), pretty: prettyPrint))
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Remove images from the store.",
            discussion: "A name stands for all images that have it. One that isn't there is told of, and no failure, as in rkt.")

        @OptionGroup var global: GlobalOptions
        @Argument(help: "IDs, their beginnings, or the names they were fetched by.") var images: [String]

        func run() throws {
            let store = try global.store()
            try store.enterTrees()
            var count = 0
            for image in images {
                do {
                    for id in try store.findAll(image) {
                        try store.remove(id)
                        print("successfully removed aci for image: \"\(id)\"")
                        count += 1
                    }
                } catch let error as StoreError { complain(error.diagnosis.lines(program: "d2a")) }
            }
            if count > 0 { complain("rm: \(count) image(s) successfully removed\n") }
        }
    }
}

extension ImageStore {
    /// An image that is in the store, by ID, its beginning, or the name it was fetched by.
    func find(_ image: String) throws -> ImageID {
        if let id = try findExactly(image) { return id }
        if let name = Self.appName(image), let id = try resolve(name: name.name, labels: name.labels) { return id }
        throw StoreError.noSuchImage(image)
    }

    /// All that are meant by it: an appc name may stand for several versions.
    func findAll(_ image: String) throws -> [ImageID] {
        if let id = try findExactly(image) { return [id] }
        let ids = try Self.appName(image).map { try images(name: $0.name, labels: $0.labels).compactMap { ImageID($0.id) } } ?? []
        guard !ids.isEmpty else { throw StoreError.noSuchImage(image) }
        return ids
    }

    private func findExactly(_ image: String) throws -> ImageID? {
        if let prefix = ImageIDPrefix(image) { return try resolve(prefix) }
        if let reference = try? ImageReference(image), let id = try resolve(reference) { return id }
        return try resolve(url: image)?.id
    }

    private static func appName(_ image: String) -> AppName? { try? AppName(image.hasPrefix("appc:") ? String(image.dropFirst(5)) : image) }
}

/// Rows padded with tabs to multiples of eight columns, as rkt prints them: scripts split on tabs.
enum Table {
    static func text(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in (rows.map { $0[column].count }.max() ?? 0) / 8 * 8 + 8 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                index == row.count - 1 ? cell : cell + String(repeating: "\t", count: (widths[index] - cell.count + 7) / 8)
            }.joined() + "\n"
        }.joined()
    }
}
