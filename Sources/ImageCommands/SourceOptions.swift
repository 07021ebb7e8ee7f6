import ArgumentParser
import Credentials
import Diagnostics
import DockerArchive
import Files
import Image
import Reference
import Registry

/// Where an image comes from, and how it is asked for: options that all commands share.
public struct SourceOptions: ParsableArguments {
    @Option(name: .customLong("image"), help: ArgumentHelp("Which image of a file that holds several.", valueName: "name[:tag]"))
    public var imageInFile: String?

    @Option(help: ArgumentHelp("Which platform of a multi-platform image. (default: this machine's)", valueName: "os/arch[/variant]"))
    public var platform: String?

    @Flag(help: "Don't verify the registry's TLS certificate.")
    public var insecureSkipVerify = false

    @Flag(help: "Talk plain HTTP to registries that don't speak HTTPS.")
    public var insecureAllowHttp = false

    @Option(help: ArgumentHelp("How many layers to download at once.", valueName: "n"))
    public var jobs = 3

    @Option(help: ArgumentHelp("Which registry protocol to speak: v1, v2 or auto.", valueName: "version"))
    public var registryVersion: RegistryOptions.ProtocolVersion = .auto

    public init() {}

    /// - Parameters:
    ///   - image: a file that exists, or a name.
    ///   - file: the file, where somebody with more rights has opened it.
    ///   - credential: finds out how to log in to a registry.
    public func open(
        _ image: String, file: OpenFile? = nil, credential: (ImageReference) throws -> Credential?, scratch: Directory,
        events: @escaping @Sendable (SourceEvent) -> Void
    ) throws -> any ImageSource {
        if let file { return try DockerArchiveSource(file, path: image, image: imageInFile, scratch: scratch) }
        if OpenFile.isFile(image) {
            return try DockerArchiveSource(OpenFile.open(image), path: image, image: imageInFile, scratch: scratch)
        }
        let reference = try ImageReference(image)
        let options = RegistryOptions(
            platform: try platform.map { try Platform($0) } ?? .current, insecureSkipVerify: insecureSkipVerify, allowHTTP: insecureAllowHttp,
            jobs: max(1, jobs), credential: try credential(reference), version: registryVersion)
        return RegistrySource(reference: reference, options: options, scratch: scratch, events: events)
    }
}

extension RegistryOptions.ProtocolVersion: ExpressibleByArgument {}
