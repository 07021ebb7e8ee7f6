import ArgumentParser
import Batch
import Files
import Publishing

/// Whether the images of a batch are published, and how.
struct BatchPublishing: ParsableArguments {
    @Option(help: ArgumentHelp("Publish the images: to a directory, or s3://BUCKET[/PREFIX].", valueName: "to")) var publish: String?
    @Option(help: ArgumentHelp("As d2a image publish --name: NAME, or PREFIX/ in the place of each name's first part.", valueName: "name"))
    var publishName: String?
    @Option(help: ArgumentHelp("As d2a image publish --url.", valueName: "url")) var publishURL: String?
    @Option(help: ArgumentHelp("As d2a image publish --sign.", valueName: "key")) var sign: String?

    func validate() throws {
        if publish == nil, publishName != nil || publishURL != nil || sign != nil {
            throw ValidationError("--publish-name, --publish-url and --sign say how to --publish")
        }
    }

    /// Publishes what was converted of these images.
    /// - Parameters:
    ///   - unchanged: whether those are too that an earlier run converted.
    ///   - page: whether the page is written too: once, where several publish.
    func publish(_ items: [BatchItem], _ directory: BatchDirectory, unchanged: Bool = true, page: Bool) throws {
        guard let publish else { return }
        var publisher = try Publisher.to(publish, url: publishURL, name: publishName, key: sign)
        for item in items {
            guard let record = directory.record(of: item), record.status == .done || (unchanged && record.isDone), let name = record.output else { continue }
            _ = try publisher.publish("\(directory.output.path)/\(name)")
        }
        if page { try publisher.finish() }
    }

    /// The words that say so again.
    var words: [String] {
        [("publish", publish), ("publish-name", publishName), ("publish-url", publishURL), ("sign", sign)].compactMap { name, value in
            value.map { "--\(name)=\($0)" }
        }
    }
}
