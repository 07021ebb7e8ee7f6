import AppC
import ArgumentParser
import Batch
import Credentials
import Files
import Glibc
import Reference

/// Which images a batch is about.
struct BatchListOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The list, or - for standard input.", valueName: "list")) var list: String?
    @Option(help: ArgumentHelp("In place of a list: all images of a registry, or of what lies below a part of its names.", valueName: "host[/prefix]"))
    var fromRegistry: String?
    @Option(
        help: ArgumentHelp("Of a registry only what fits: REPOSITORY or REPOSITORY:TAG, with * and ?. May be given several times.", valueName: "pattern"))
    var include: [String] = []
    @Option(help: ArgumentHelp("Of a registry all but what fits.", valueName: "pattern")) var exclude: [String] = []

    func validate() throws {
        guard (list == nil) != (fromRegistry == nil) else { throw ValidationError("give a list, or --from-registry HOST[/PREFIX]") }
        guard fromRegistry != nil || (include.isEmpty && exclude.isEmpty) else { throw ValidationError("--include and --exclude are for --from-registry") }
    }

    /// - Throws: `BatchError`, `FileError`; the helper's exit status, which has said why.
    func read(_ source: SourceOptions) throws -> BatchList {
        guard let fromRegistry else { return try BatchList(reading: list!) }
        let trimmed = fromRegistry.hasSuffix("/") ? String(fromRegistry.dropLast()) : fromRegistry
        let reference = try ImageReference(trimmed.contains("/") ? trimmed : trimmed + "/any")
        let file = try OpenFile.inMemory("catalogue")
        let access = try OpenFile.inMemory("credential", CanonicalJSON.encode(RegistryAccess(option: source.withCredentials().creds, for: reference)))
        try access.seek(to: 0)
        let words = ["catalog"] + include.map { "--include=\($0)" } + exclude.map { "--exclude=\($0)" } + source.arguments
        try Helper.run(words + ["--", trimmed], descriptors: [file, access])
        try file.seek(to: 0)
        return try BatchList(text: String(decoding: file.readAll(limit: 1 << 30), as: UTF8.self), name: fromRegistry)
    }
}
