import AppC
import ArgumentParser
import Compare
import Files
import Glibc
import Listing
import Location
import Program
import Store
import Subprocess

/// One image, as its source has it and as it is in the store.
final class ImageComparison {
    let store: ImageStore
    let work: Workspace
    let counterpart: Counterpart
    /// nil where a runtime was asked for.
    let engine: ComparedEngine?
    let text: String
    let location: ImageLocation
    let options: FetchOptions
    let stored: StoredImage
    let original: OriginalImage
    var left = Side(title: "Docker")
    let right: Side

    /// - Parameter text: a Docker image as its source has it.
    init(_ text: String, _ store: ImageStore, _ options: FetchOptions, _ counterpart: Counterpart) throws {
        (self.text, self.store, self.options, self.counterpart) = (text, store, options, counterpart)
        engine = ComparedEngine(counterpart)
        work = try Workspace(store)
        switch try ImageArgument(text) {
        case .place(let location) where text != "-": self.location = location
        case .either(let reference, _): location = .registry(reference)
        default: throw CompareError.noDockerImage(text)
        }
        original = try Self.original(location, text, options, in: work.directory)
        // What a name means now, not what it meant when it was last fetched.
        stored = try ImageFetcher(store: store, options: options, policy: .update).image(text)
        guard stored.manifest.annotation("appc.io/docker/imageid") == original.id else { throw CompareError.changedMeanwhile(text) }
        left.id = original.id
        right = Side(title: "d2a \(programVersion)", id: stored.id.description)
    }

    /// - Parameter more: options of `d2a-image original`.
    static func original(
        _ location: ImageLocation, _ text: String, _ options: FetchOptions, _ more: [String] = [], archive: OpenFile? = nil, in directory: Directory
    ) throws -> OriginalImage {
        let report = try directory.unnamedFile()
        let source = try HelperSource(location, location.open(), options, in: directory)
        let output = try archive ?? directory.unnamedFile()
        try Helper.run(["original"] + more + source.arguments + ["--", text], descriptors: [output, report] + source.descriptors)
        return try Helper.read(OriginalImage.self, from: report)
    }

    // MARK: Manifest

    func manifest() throws -> Part {
        let part = Part(.manifest, left: "the image's configuration", right: "the appc manifest")
        return try ManifestComparison.compare(original, stored.manifest, into: part)
    }

    // MARK: File system

    func filesystem() throws -> Part {
        let begin = time(nil)
        let isRoot = geteuid() == 0
        var part = Part(.filesystem, left: "", right: isRoot ? "the tree of a pod" : "the image")
        var explanation = TreeExplanation(workingDirectory: stored.manifest.app?.workingDirectory, begin: Int64(begin))
        var theirs: OpenFile?
        if let engine {
            let (listing, answer) = try tree(of: engine)
            if let version = answer.version { left.title = "\(engine.name) \(version)" }
            if let problem = answer.problem, counterpart != .auto || !answer.isUnreachable {
                part.left = "the engine's export"
                part.add(problem: problem)
                return part
            }
            theirs = listing
            part.left = "the engine's export"
            explanation.tool = .engine
        }
        if theirs == nil {
            part.left = "what umoci unpacks"
            explanation.tool = .umoci
            do { theirs = try unpackedTree() } catch let problem as NotUnpacked {
                part.add(problem: problem.reason)
                return part
            }
        }
        let (listing, lock) = try ourTree(isRoot)
        defer { withExtendedLifetime(lock) {} }
        func compared() throws -> Part {
            try TreeComparison.compare(ListingReader(theirs!), ListingReader(listing), into: part, explain: explanation.rule)
        }
        var result = try compared()
        if result.counts.keys.contains(where: { $0.hasPrefix("file-") || $0 == "unnamed-parent-of-lower" }) {
            // What isn't explained yet, or not for sure, may be by the layers, all of which have to be read for that.
            explanation.facts = try Self.original(location, text, options, ["--facts"], in: work.directory).facts
            result = try compared()
        }
        part = result
        part.charts.insert(
            Chart(
                id: "layers", title: "Where the bytes are, by layer as served", unit: "bytes",
                bars: original.layers.enumerated().compactMap { number, layer in
                    // A digest's first digits are what people know it by.
                    let name = layer.name.split(separator: ":").last?.prefix(12) ?? ""
                    return layer.size.map { Chart.Bar("\(number + 1): \(name)", left: $0, right: nil) }
                }), at: 0)
        return part
    }

    /// What pods see; without root, what they would see.
    private func ourTree(_ isRoot: Bool) throws -> (OpenFile, RenderedTree?) {
        guard isRoot else {
            let chain = try store.chain(of: stored)
            let spans = chain.map { String($0.span) }.joined(separator: ",")
            return (try Helper.list(["--spans=\(spans)"], chain.map(\.image.blob), text, in: work.directory), nil)
        }
        let tree = try store.tree(of: stored)
        return (try Helper.list([], [tree.directory], text, in: work.directory), tree)
    }

    /// - Returns: no listing where the engine has a problem.
    private func tree(of engine: ComparedEngine) throws -> (OpenFile?, EngineReport) {
        let name = engine.newImageName()
        let archive = try work.directory.unnamedFile()
        _ = try Self.original(location, text, options, ["--archive", "--name=\(name)"], archive: archive, in: work.directory)
        let output = try work.directory.unnamedFile()
        let answer = try engine.export(archive, name, into: output, in: work.directory)
        guard answer.problem == nil else { return (nil, answer) }
        return (try Helper.list(["--archive"], [output], "the engine's tree", in: work.directory), answer)
    }

    /// Why there is no second opinion.
    private struct NotUnpacked: Error { var reason: String }

    private func unpackedTree() throws -> OpenFile {
        guard geteuid() == 0 else { throw NotUnpacked(reason: "no engine answers, and unpacking with umoci needs root, or users in /etc/subuid") }
        _ = try Self.original(location, text, options, ["--layout"], in: work.directory)
        let log = try work.directory.unnamedFile()
        let status = try runProgram(companionProgram("d2a-image"), ["unpack"], descriptors: [work.directory, log])
        guard status != 127 else { throw NotUnpacked(reason: "no engine answers, and umoci isn't there: install umoci, or start the engine") }
        guard status == 0 else {
            try log.seek(to: 0)
            let said = String(decoding: try log.readAll(limit: 1 << 20), as: UTF8.self).split(separator: "\n").last { !$0.isEmpty }
            throw NotUnpacked(reason: "umoci refuses the image: \(said ?? "it ended with status \(status)")")
        }
        return try Helper.list([], [work.directory.directory("bundle/rootfs")], "umoci's tree", in: work.directory)
    }
}
