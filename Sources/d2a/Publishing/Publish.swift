import ArgumentParser
import Files
import Publishing

extension Image {
    /// `d2a image publish`
    struct Publish: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "publish",
            abstract: "Bring ACI files to where d2a fetch and rkt find them by their names.",
            discussion: """
                TO is a directory, which any web server may serve, or s3://BUCKET[/PREFIX]: the keys of an object store are looked for where AWS's tools \
                look. What is there already is not written again. Prints each image's name and address.
                """)

        @Option(help: ArgumentHelp("A directory, or s3://BUCKET[/PREFIX].", valueName: "to")) var to: String
        @Option(
            help: ArgumentHelp(
                "The images' name, in place of their own; or, with a slash at its end, what takes the place of the first part of each one's name.",
                valueName: "name"))
        var name: String?
        @Option(
            help: ArgumentHelp(
                "The address by which what is published will be found. (default: https:// and the host that the name begins with)", valueName: "url"))
        var url: String?
        @Option(help: ArgumentHelp("Sign with this key of gpg's, and publish it.", valueName: "key")) var sign: String?
        @Argument(help: ArgumentHelp("ACI files, or directories of them.", valueName: "file")) var files: [String]

        func run() throws {
            let paths = try files.flatMap { path in
                guard let directory = try? Directory.open(path) else { return [path] }
                let names = try directory.names().filter { $0.hasSuffix(".aci") && !$0.hasPrefix(".") }
                if names.isEmpty { throw PublishingError.nothing(path) }
                return names.map { "\(path)/\($0)" }
            }
            var publisher = try Publisher.to(to, url: url, name: name, key: sign)
            for path in paths {
                let (name, url) = try publisher.publish(path)
                print("\(name)\t\(url)")
            }
            try publisher.finish()
        }
    }
}
