import Archive
import ArgumentParser
import Credentials
import Diagnostics
import Engine
import Files
import Glibc
import Image
import Location
import Sandbox
import SavedImage
import Squash

/// The image that a helper was given to read. Descriptors: 5 a directory for temporary files, and 6 the file or directory where the
/// image is, or how the registry lets us in where it is in one.
struct HelperSource: ParsableArguments {
    @Argument var image: String
    @Flag(help: "Where the image is was opened as descriptor 6.") var opened = false
    @Flag(help: "How the registry lets us in is in the file open as descriptor 6.") var access = false
    @Option(help: "The descriptor of the cache's directory.") var cache: Int32?
    @Flag var quiet = false
    @OptionGroup var source: SourceOptions

    /// What was opened, once this process is fenced in.
    struct Opened {
        let scratch: Directory
        let place: (any DescriptorOwner)?
        fileprivate let kept: Directory?

        /// The same, and what comes out of a pipe in a file: only that can be looked at before it is read.
        /// - Throws: `ArchiveError` for more than there may be of an image, `FileError`
        func seekable(_ limits: Limits) throws -> Opened {
            guard let pipe = place as? OpenFile, try pipe.status().st_mode & S_IFMT != S_IFREG else { return self }
            let file = try scratch.unnamedFile()
            var count = 0
            try FileSource(pipe).pass { bytes in
                count += bytes.count
                guard count <= limits.size else {
                    throw ArchiveError.beyondLimit(option: "--max-size", reason: "\(pipe.path) is longer than \(limits.size) bytes")
                }
                try file.write(bytes)
            }
            try file.seek(to: 0)
            return Opened(scratch: scratch, place: file, kept: kept)
        }
    }

    /// Gives up all rights but those that reading the image needs.
    /// - Parameter descriptors: those of files that are written.
    func enter(writing descriptors: [Int32]) throws -> Opened {
        let scratch = Directory(descriptor: 5, path: "the store")
        // A relative path reaches the scratch directory even where its parents are closed to this user.
        guard fchdir(5) == 0 else { throw FileError("enter", scratch.path) }
        var place: (any DescriptorOwner)? = opened ? OpenFile(descriptor: 6, path: image) : nil
        // The engine's socket is not for everyone; what comes out of it is only kept for now.
        if !opened, case .engine(let name) = try ImageLocation(image) { place = try SourceOptions.archive(of: name, EngineAddress(), scratch: scratch) }
        if let opened = place, case .directory(let path, _) = try ImageLocation(image, opened: opened) {
            place = try LayoutDirectory(openingFilesOf: Directory(descriptor: dup(opened.descriptor), path: path))
        }
        try becomeNobody(handingOver: descriptors + [5])
        let kept = cache.map { Directory(descriptor: $0, path: "the cache") }
        try Sandbox(reading: place.map { [$0] } ?? [], writing: [scratch] + (kept.map { [$0] } ?? []), network: access).enter()
        return Opened(scratch: scratch, place: place, kept: kept)
    }

    func open(_ opened: Opened, _ progress: ProgressDisplay) throws -> any ImageSource {
        let registry = access ? try RegistryAccess(from: OpenFile(descriptor: 6, path: "the credential")) : RegistryAccess(places: [])
        let blobs = opened.kept.flatMap { source.cache(in: .init($0)) }
        return try source.open(image, opened: opened.place, access: { _ in registry }, cache: blobs, scratch: opened.scratch, events: progress.handle)
    }
}
