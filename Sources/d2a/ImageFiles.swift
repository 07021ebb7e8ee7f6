import AppC
import ArgumentParser
import Diagnostics
import Files
import Glibc
import Program

extension Image {
    /// `d2a image validate`: what `actool validate` does.
    struct Validate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "validate",
            abstract: "Check ACI files and manifests against the appc spec.",
            discussion: """
                Layout, compression and manifest of an ACI; the directory that an ACI is made of; or an image or pod manifest alone. \
                Exit status: 0 valid, 254 not.
                """)

        @Option(help: ArgumentHelp("What the files must be: appimage, layout or manifest. (default: told by what they are)", valueName: "type"))
        var type: String?
        @Argument(help: ArgumentHelp("ACIs, layout directories or manifests.", valueName: "file")) var files: [String]

        func validate() throws {
            if let type, !["appimage", "layout", "manifest"].contains(type) { throw ValidationError("--type is appimage, layout or manifest") }
        }

        func run() throws {
            var failed = false
            for file in files {
                let layout = try? Directory.open(file)
                let options = (layout == nil ? type : "layout").map { ["--type=\($0)"] } ?? []
                do {
                    if layout == nil, type == "layout" { throw Self.refusal(file, "it is not a directory") }
                    let opened = try layout.map { try manifest(of: $0, file) } ?? OpenFile.open(file)
                    try Helper.run(["validate"] + options + ["--", file], descriptors: [opened])
                } catch is ExitCode { failed = true }
            }
            if failed { throw ExitCode(254) }
        }

        /// Checks a layout (appc spec `aci.md#image-layout`) but for its manifest, which it opens.
        private func manifest(of layout: Directory, _ path: String) throws -> OpenFile {
            func refuse(_ reason: String) -> ExitCode { Self.refusal(path, reason) }
            if let type, type != "layout" { throw refuse("it was to be \(type == "manifest" ? "a manifest" : "an archive")") }
            let names = try layout.names()
            for name in ["manifest", "rootfs"] where !names.contains(name) { throw refuse("it has no \(name)") }
            if let more = names.first(where: { !["manifest", "rootfs"].contains($0) }) {
                throw refuse("it has \"\(printable(more))\" beside manifest and rootfs")
            }
            guard (try? layout.directory("rootfs")) != nil else { throw refuse("its rootfs is not a directory") }
            let manifest = try layout.file("manifest", O_RDONLY | O_NONBLOCK)
            guard try manifest.status().st_mode & Glibc.S_IFMT == Glibc.S_IFREG else { throw refuse("its manifest is not a file") }
            return manifest
        }

        private static func refusal(_ path: String, _ reason: String) -> ExitCode {
            complain("d2a: \(path): not an image layout: \(reason)\nd2a: a layout is a directory of a file manifest and a directory rootfs\n")
            return ExitCode(254)
        }
    }

    /// `d2a image patch-manifest`: what `actool patch-manifest` does.
    struct PatchManifest: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "patch-manifest", abstract: "Copy an ACI file with changes to its manifest.",
            discussion: "What has the name of something that is there replaces it. The result is a valid ACI, or nothing is written.")

        @Option(help: ArgumentHelp("The image's name.", valueName: "name")) var name: String?
        @Option(help: ArgumentHelp("What to run, split at blanks.", valueName: "words")) var exec: String?
        @Option(help: ArgumentHelp("The user to run as.", valueName: "user")) var user: String?
        @Option(help: ArgumentHelp("The group to run as.", valueName: "group")) var group: String?
        @Option(name: [.customLong("working-directory"), .customLong("working-dir")], help: ArgumentHelp("The directory to run in.", valueName: "path"))
        var workingDirectory: String?
        @Option(name: .customLong("supplementary-groups"), help: ArgumentHelp("More groups, by number.", valueName: "n,n")) var supplementaryGroups: String?
        @Option(help: ArgumentHelp("A variable. May be repeated.", valueName: "name=value")) var environment: [String] = []
        @Option(help: ArgumentHelp("A label. May be repeated.", valueName: "name=value")) var label: [String] = []
        @Option(help: ArgumentHelp("An annotation. May be repeated.", valueName: "name=value")) var annotation: [String] = []
        @Option(
            name: [.customLong("mounts"), .customLong("mount")],
            help: ArgumentHelp("A mount point. May be repeated, or several with colons between.", valueName: "name,path=/p[,readOnly=true]"))
        var mounts: [String] = []
        @Option(
            name: [.customLong("ports"), .customLong("port")],
            help: ArgumentHelp(
                "A port. May be repeated, or several with colons between.", valueName: "name,protocol=tcp,port=80[,count=n][,socketActivated=true]"))
        var ports: [String] = []
        @Option(help: ArgumentHelp("Linux capabilities to keep.", valueName: "CAP_A,CAP_B")) var capability: String?
        @Option(help: ArgumentHelp("How to compress: gzip, none, xz, bzip2 or zstd.", valueName: "codec")) var compression = "gzip"
        @Flag(help: "Overwrite the output where it exists.") var overwrite = false
        @Flag(help: "Write the result in place of the input.") var replace = false
        @Argument(help: ArgumentHelp("The ACI.", valueName: "input")) var input: String
        @Argument(help: ArgumentHelp("The ACI to write.", valueName: "output")) var output: String?

        func validate() throws {
            guard ["gzip", "none", "xz", "bzip2", "zstd"].contains(compression) else { throw ValidationError("--compression is gzip, none, xz, bzip2 or zstd") }
            guard replace != (output != nil) else { throw ValidationError("name an output file, or give --replace") }
            _ = try patch()
        }

        func run() throws {
            let target = replace ? input : output!
            var status = stat()
            if !replace, !overwrite, stat(target, &status) == 0 { throw FileError("create", target, code: EEXIST) }
            let source = try OpenFile.open(input)
            let (directory, name) = try Directory.holding(target)
            let file = try PendingFile(in: directory)
            try Helper.run(["patch", "--compression=\(compression)", "--", CanonicalJSON.text(patch())], descriptors: [source, file.file])
            try file.publish(as: name)
        }

        private func patch() throws -> ManifestPatch {
            var patch = ManifestPatch()
            patch.name = name
            patch.exec = exec.map { $0.split(separator: " ").map(String.init) }
            patch.user = user
            patch.group = group
            patch.workingDirectory = workingDirectory
            patch.supplementaryGIDs = try supplementaryGroups.map { try $0.split(separator: ",").map { try number(String($0)) } }
            patch.environment = try environment.map { try NamedValue(argument: $0) }
            patch.labels = try label.map { try NamedValue(argument: $0) }
            patch.annotations = try annotation.map { try NamedValue(argument: $0) }
            patch.capabilities = capability.map { $0.split(separator: ",").map(String.init) } ?? []
            patch.mountPoints = try mounts.flatMap { $0.split(separator: ":") }.map { text in
                let (name, fields) = try fields(text, ["path", "readOnly"])
                guard let path = fields["path"] else { throw ValidationError("\"\(text)\" has no path=") }
                return MountPoint(name: name, path: path, readOnly: try fields["readOnly"].map(boolean))
            }
            patch.ports = try ports.flatMap { $0.split(separator: ":") }.map { text in
                let (name, fields) = try fields(text, ["protocol", "port", "count", "socketActivated"])
                guard let port = fields["port"], let `protocol` = fields["protocol"] else { throw ValidationError("\"\(text)\" has no protocol= and port=") }
                return Port(
                    name: name, protocol: `protocol`, port: try number(port), count: try number(fields["count"] ?? "1"),
                    socketActivated: try boolean(fields["socketActivated"] ?? "false"))
            }
            return patch
        }

        /// `NAME,KEY=VALUE,…`
        private func fields(_ text: Substring, _ known: [String]) throws -> (name: String, fields: [String: String]) {
            let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            var fields: [String: String] = [:]
            for part in parts.dropFirst() {
                let pair = try NamedValue(argument: String(part))
                guard known.contains(pair.name) else { throw ValidationError("\"\(text)\": \(pair.name) is none of \(known.joined(separator: ", "))") }
                fields[pair.name] = pair.value
            }
            return (String(parts[0]), fields)
        }

        private func number<T: FixedWidthInteger>(_ text: String) throws -> T {
            guard let number = T(text) else { throw ValidationError("\"\(text)\" is not a number that fits here") }
            return number
        }

        private func boolean(_ text: String) throws -> Bool {
            guard let value = Bool(text) else { throw ValidationError("\"\(text)\" is neither true nor false") }
            return value
        }
    }
}
