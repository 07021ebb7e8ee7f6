import Archive
import ArgumentParser
import CLinux
import Diagnostics
import Files
import Glibc
import Hashing
import Listing
import Render
import Sandbox
import Squash

/// Lists what is in trees, sorted, for comparisons (``Listing``). Descriptors: 3 the file to write, 4 a directory for temporary files,
/// 5 and up a directory; or an archive; or images as `render` takes them.
struct ListHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list")

    @Option(help: "For each ACI, how many, itself first, are it and what it depends on.") var spans: String?
    @Flag(help: "It is an archive of the tree.") var archive = false
    @Argument(help: "What it is called.") var name: String

    func run() throws {
        let output = OpenFile(descriptor: 3, path: "the list of files")
        let scratch = Directory(descriptor: 4, path: "the store")
        // Owned from here on: it closes what it owns.
        let tree = archive || spans != nil ? nil : Directory(descriptor: 5, path: name)
        if tree == nil {
            try becomeNobody(handingOver: [3, 4])
            try Sandbox(writing: [scratch]).enter()
        } else {
            // Its owners may let nobody else in; nothing but reading is done to it.
            try Sandbox(reading: [tree!], writing: [scratch], capabilities: [CAP_DAC_READ_SEARCH]).enter()
        }
        let writer = ListingWriter(scratch: scratch)
        if let tree {
            try TreeLister(writer).list(directory: tree)
        } else if archive {
            let file = OpenFile(descriptor: 5, path: name)
            try TreeLister(writer).list(archive: FileRegion(file, offset: 0, length: file.size()))
        } else if let spans {
            let spans = spans.split(separator: ",").compactMap { Int($0) }
            let images = spans.enumerated().map { (OpenFile(descriptor: Int32(5 + $0), path: name), $1) }
            // What was listed can't be taken back, so there is a plan first.
            let lister = TreeLister(writer)
            try Renderer.entries(of: images) { try lister.add($0, $1) }
        }
        try writer.finish(into: output)
    }
}
