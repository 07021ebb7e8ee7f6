import AppC
import ArgumentParser
import Credentials
import Files
import Glibc
import ImageOptions
import Registry
import Sandbox

/// Lists a registry's images. Descriptors: 3 the file to write to, a name a line, 4 how the registry lets us in.
struct CatalogHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "catalog")

    @Argument(help: "HOST[/PREFIX]") var place: String
    @Option var include: [String] = []
    @Option var exclude: [String] = []
    @Flag var quiet = false
    @OptionGroup var choices: RegistryChoices

    func run() throws {
        let output = OpenFile(descriptor: 3, path: "d2a")
        try becomeNobody()
        try Sandbox(network: true).enter()
        let access = try CanonicalJSON.decode(RegistryAccess.self, from: OpenFile(descriptor: 4, path: "the credential").readAll(limit: 1 << 20))
        let catalog = try RegistryCatalog(access, RegistryOptions(transport: choices.servers.transport))
        let parts = place.split(separator: "/", maxSplits: 1).map(String.init)
        let prefix = parts.count == 2 ? String(parts[1]) : ""
        for repository in try repositories(catalog, below: prefix).sorted() {
            for tag in try tags(catalog, repository).sorted() where isWanted(repository, tag) { try output.write("\(parts[0])/\(repository):\(tag)\n") }
        }
    }

    private func repositories(_ catalog: RegistryCatalog, below prefix: String) throws -> [String] {
        do {
            return try catalog.repositories().filter { prefix.isEmpty || $0 == prefix || $0.hasPrefix(prefix.hasSuffix("/") ? prefix : prefix + "/") }
        } catch let error as RegistryError where !prefix.isEmpty {
            // Registries that show nobody what all they have show the tags of one repository.
            guard (try? catalog.tags(of: prefix)) != nil else { throw error }
            return [prefix]
        }
    }

    /// A repository whose images have all been deleted is still in the catalogue.
    private func tags(_ catalog: RegistryCatalog, _ repository: String) throws -> [String] {
        do { return try catalog.tags(of: repository) } catch RegistryError.refused(_, _, status: 404, _) { return [] }
    }

    private func isWanted(_ repository: String, _ tag: String) -> Bool {
        func fits(_ pattern: String) -> Bool {
            // What has no tag is about the repository.
            fnmatch(pattern, pattern.contains(":") ? "\(repository):\(tag)" : repository, 0) == 0
        }
        return (include.isEmpty || include.contains(where: fits)) && !exclude.contains(where: fits)
    }
}
