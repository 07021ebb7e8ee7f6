import AppC
import ArgumentParser
import Diagnostics
import Digest
import Files
import Glibc
import Program
import Store

extension Image {
    /// `d2a image export`: the image as a file.
    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "export",
            abstract: "Write an image of the store to a file.", discussion: "The file is the uncompressed ACI: the hash of its bytes is the image's ID.")

        @OptionGroup var global: GlobalOptions
        @Flag(help: "Overwrite the file where it exists.") var overwrite = false
        @Argument(help: "An ID, its beginning, or a name.") var image: String
        @Argument(help: ArgumentHelp("The ACI to write.", valueName: "file")) var file: String

        func run() throws {
            let store = try global.store()
            let stored = try store.open(store.find(image))
            guard overwrite || !OpenFile.isFile(file) else { throw OutputExists(path: file) }
            let (directory, name) = try Directory.holding(file)
            let output = try PendingFile(in: directory)
            try output.file.write(contentsOf: stored.blob)
            try output.file.sync()
            try output.publish(as: name)
        }
    }

    /// `d2a image render`: what an image shows, with all that it is built on.
    struct Render: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "render",
            abstract: "Unpack an image of the store, and all that it is built on, into a directory.", discussion: Unpacking.discussion)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var unpacking: Unpacking

        func run() throws {
            let store = try global.store()
            let stored = try store.open(store.find(unpacking.image))
            try unpacking.unpack(stored.manifest) { try store.render(stored, into: $0) }
        }
    }

    /// `d2a image extract`: what is in an image itself.
    struct Extract: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "extract",
            abstract: "Unpack an image of the store alone, without what it is built on.", discussion: Unpacking.discussion)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var unpacking: Unpacking

        func run() throws {
            let store = try global.store()
            let stored = try store.open(store.find(unpacking.image))
            try unpacking.unpack(stored.manifest) { try Helper.run(["render", "--spans=1", "--whole"], descriptors: [stored.blob, $0]) }
        }
    }

    /// Where to unpack to.
    struct Unpacking: ParsableArguments {
        static let discussion = "Owners, devices and all else are as in the image: it needs root. Exit status: 0 done, 254 failed, and then nothing is left."

        @Flag(help: "Replace the directory where it exists.") var overwrite = false
        @Flag(help: "Only the root file system, and no manifest.") var rootfsOnly = false
        @Argument(help: "An ID, its beginning, or a name.") var image: String
        @Argument(help: ArgumentHelp("The directory, which is made.", valueName: "directory")) var directory: String

        /// - Parameter work: fills a directory with `rootfs`.
        func unpack(_ manifest: ImageManifest, _ work: (Directory) throws -> Void) throws {
            try requireRoot()
            let path = directory.split(separator: "/").joined(separator: "/")
            guard !path.isEmpty, path != ".", path != ".." else { throw OutputExists(path: directory) }
            let name = String(path.split(separator: "/").last!)
            let parents = (directory.hasPrefix("/") ? "/" : "") + path.split(separator: "/").dropLast().joined(separator: "/")
            let parent = try Directory.open(parents.isEmpty ? "." : parents)
            guard overwrite || !parent.exists(name) else { throw OutputExists(path: directory) }
            let (beginning, temporary) = (".\(name.prefix(200)).", ".\(name.prefix(200)).\(getpid())")
            // What dead processes left here, and nobody holds any more.
            for left in try parent.names() where left.hasPrefix(beginning) && UInt(left.dropFirst(beginning.count)) != nil {
                guard let directory = try? parent.directory(left), (try? directory.lock(wait: false)) == true else { continue }
                try parent.removeTree(left)
            }
            do {
                let new = try parent.make(temporary)
                _ = try new.lock(wait: true)
                try work(new)
                if !rootfsOnly { try new.file("manifest", O_WRONLY | O_CREAT).write(CanonicalJSON.text(manifest)) }
                if overwrite { try parent.removeTree(name) }
                try (rootfsOnly ? new : parent).rename(rootfsOnly ? "rootfs" : temporary, to: parent, as: name)
                try parent.removeTree(temporary)
            } catch {
                try? parent.removeTree(temporary)
                throw error
            }
        }
    }

    /// `d2a image verify`: whether images and their trees are what they were.
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify",
            abstract: "Check images of the store, and the trees rendered from them, against their IDs.",
            discussion: """
                Each file is hashed, and each tree compared with the images that it was rendered from: names, contents, owners, modes, times, links, \
                attributes. What is wrong is named. Exit status: 0 all is well, 254 something isn't. Without images, all are checked.
                """)

        @OptionGroup var global: GlobalOptions
        @Argument(help: "IDs, their beginnings, or names.") var images: [String] = []

        func run() throws {
            let store = try global.store()
            try store.enterTrees()
            var failed = false
            let ids = try images.isEmpty ? store.images().compactMap { ImageID($0.id) } : images.map { try store.find($0) }
            for id in ids {
                do {
                    let image = try store.open(id)
                    try Helper.run(["verify", "--id=\(id)", "--sha256=\(image.record.sha256)"], descriptors: [image.blob])
                    for record in try store.trees(of: id) {
                        guard let tree = try store.open(record) else { continue }
                        let links = try store.chain(of: image).filter { record.images.contains($0.image.id.description) }
                        guard links.map(\.image.id.description) == record.images else { continue }
                        let descriptors: [any DescriptorOwner] = links.map(\.image.blob) + [tree.lock]
                        try Helper.run(
                            ["verify", "--spans=" + links.map { String($0.span) }.joined(separator: ","), "--tree=\(tree.path)"], descriptors: descriptors)
                    }
                    print("successfully verified checksum for image: \"\(id)\"")
                } catch is ExitCode { failed = true } catch let error as any DiagnosedError {
                    complain(error.diagnosis.lines(program: "d2a"))
                    failed = true
                }
            }
            if failed { throw ExitCode(254) }
        }
    }

    /// `d2a image gc`: what nobody needs any more.
    struct CollectGarbage: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "gc", abstract: "Remove images that were not used for a while, trees that no pod needs, and what killed commands left behind.")

        @OptionGroup var global: GlobalOptions
        @Option(help: ArgumentHelp("Keep images that were used in this time: 90s, 30m, 24h.", valueName: "duration")) var gracePeriod = "24h"

        func validate() throws { _ = try seconds() }

        private func seconds() throws -> Int {
            var total = 0.0
            var number = ""
            for character in gracePeriod {
                if character.isNumber || character == "." {
                    number.append(character)
                    continue
                }
                guard let value = Double(number), let unit = ["h": 3600.0, "m": 60, "s": 1][character] else {
                    throw ValidationError("--grace-period \(gracePeriod): give a duration like 90s, 30m or 24h")
                }
                total += value * unit
                number = ""
            }
            guard number.isEmpty || number == "0", total < 1e12 else {
                throw ValidationError("--grace-period \(gracePeriod): give a duration like 90s, 30m or 24h")
            }
            return Int(total)
        }

        func run() throws {
            // Whoever waits no time at all wants all of it gone, also what was used this second.
            let grace = try seconds()
            let store = try global.store()
            try store.enterTrees()
            let garbage = try store.collectGarbage(unusedSince: grace == 0 ? Int.max : time(nil) - grace)
            for tree in garbage.trees { complain("gc: removed treestore \"\(tree)\"\n") }
            for id in garbage.images { print("successfully removed aci for image: \"\(id)\"") }
            if !garbage.images.isEmpty { complain("gc: \(garbage.images.count) image(s) successfully removed\n") }
        }
    }
}

/// A file or directory is in the way.
struct OutputExists: DiagnosedError {
    var path: String
    var diagnosis: Diagnosis { Diagnosis("\(path) exists", hint: "choose another place, or give --overwrite") }
}

/// Unpacking an image as it is needs rights that this process hasn't.
struct NotRoot: DiagnosedError {
    var diagnosis: Diagnosis { Diagnosis("giving files the owners that the image names needs root", hint: "run the command with sudo") }
}

func requireRoot() throws(NotRoot) { if geteuid() != 0 { throw NotRoot() } }
