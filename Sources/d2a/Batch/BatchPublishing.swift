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
    ///   - remote: where ACIs are that aren't in the directory; what their tasks have published isn't brought from there.
    ///   - page: whether the page is written too: once, where several publish.
    func publish(_ items: [BatchItem], _ directory: BatchDirectory, unchanged: Bool = true, from remote: RemoteBatch? = nil, page: Bool) throws {
        guard let publish else { return }
        var publisher = try Publisher.to(publish, url: publishURL, name: publishName, key: sign)
        let there = remote == nil ? [] : try publisher.files()
        for item in items {
            guard var record = directory.record(of: item), record.status == .done || (unchanged && record.isDone), let name = record.output else { continue }
            if let remote {
                if let known = record.name {
                    let file = try publisher.file(of: known, labels: record.labels ?? [])
                    if record.published == "\(publish)/\(file)", there.contains(file), sign == nil || there.contains(file + ".asc") { continue }
                }
                // One at a time: there may be no room for all.
                guard try remote.bring(name, to: directory) else { continue }
            }
            let published = try publisher.publish("\(directory.output.path)/\(name)").name
            if remote != nil {
                try directory.output.remove(name)
            } else {
                record.published = "\(publish)/\(published.file)"
                try directory.write(record)
            }
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
