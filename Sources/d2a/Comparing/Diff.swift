import AppC
import ArgumentParser
import Compare
import Files
import Glibc
import Listing
import Store

/// `d2a diff`: what two images, or trees, have different.
struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what two images or directories have different.",
        discussion: """
            A and B are images as d2a fetch takes them, IDs or names of images in the store, directories of an image layout (manifest and rootfs), or any \
            directories, which are compared as file systems. Exit status: 0 the same, 1 different, 2 not all could be compared.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var report: ReportOptions
    @Option(
        help: ArgumentHelp(
            "Don't compare these of files: mode, owner, time, content, target, device, attribute, links, with commas between.", valueName: "field,…"))
    var ignore: String?
    @OptionGroup var fetching: FetchOptions
    @Argument(help: ArgumentHelp("The left side.", valueName: "a")) var left: String
    @Argument(help: ArgumentHelp("The right side.", valueName: "b")) var right: String

    func validate() throws {
        for word in ignore?.split(separator: ",") ?? [] where TreeComparison.Field(rawValue: String(word)) == nil {
            throw ValidationError("--ignore \(word): files have no such field")
        }
    }

    func run() throws {
        try report.report {
            let store = try global.store()
            let work = try Workspace(store)
            let (a, b) = (try Comparand(left, store, fetching), try Comparand(right, store, fetching))
            var result = Report(.diff, subject: "\(left) and \(right)", left: Side(title: left, id: a.id), right: Side(title: right, id: b.id))
            let parts = try report.parts() ?? (a.manifest == nil && b.manifest == nil ? [.filesystem] : [.manifest, .filesystem])
            for name in parts {
                switch name {
                case .manifest: result.parts.append(try manifests(a, b))
                case .filesystem:
                    let part = Part(.filesystem, left: a.kind, right: b.kind)
                    let ignored = Set(ignore?.split(separator: ",").compactMap { TreeComparison.Field(rawValue: String($0)) } ?? [])
                    result.parts.append(
                        try TreeComparison.compare(
                            ListingReader(a.listing(in: work.directory)), ListingReader(b.listing(in: work.directory)), into: part, ignoring: ignored))
                case .process: throw CompareError.unknownPart("process")
                }
            }
            return result
        }
    }

    private func manifests(_ a: Comparand, _ b: Comparand) throws -> Part {
        var part = Part(.manifest, left: a.kind, right: b.kind)
        for (comparand, name) in [(a, left), (b, right)] where comparand.manifest == nil { part.add(problem: CompareError.noManifest(name).description) }
        guard let left = a.manifest, let right = b.manifest else { return part }
        return try ManifestDifferences.compare(left, right, into: part)
    }
}
