import AppC
import ArgumentParser
import Diagnostics
import Digest
import Files
import Glibc
import Reference
import Store

/// `d2a image`: what is in the store.
struct Image: ParsableCommand {
    static let configuration = CommandConfiguration(
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
        static let configuration = CommandConfiguration(commandName: "rm", abstract: "Remove images from the store.")

        @OptionGroup var global: GlobalOptions
        @Argument(help: "IDs, their beginnings, or the names they were fetched by.") var images: [String]

        func run() throws {
            let store = try global.store()
            for image in images {
                let id = try store.find(image)
                try store.remove(id)
                print("removed \(id)")
            }
        }
    }
}

extension ImageStore {
    /// An image that is in the store, by ID, its beginning, or the name it was fetched by.
    func find(_ image: String) throws -> ImageID {
        if let prefix = ImageIDPrefix(image) { return try resolve(prefix) }
        if let reference = try? ImageReference(image), let id = try resolve(reference) { return id }
        if let id = try resolve(url: image)?.id { return id }
        if let name = try? AppName(image.hasPrefix("appc:") ? String(image.dropFirst(5)) : image), let id = try resolve(name: name.name, labels: name.labels) {
            return id
        }
        throw StoreError.noSuchImage(image)
    }
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
