import ArgumentParser
import Files

/// What a person does without, for once: the values of rkt's `--insecure-options`.
struct InsecureOptions: OptionSet, ExpressibleByArgument {
    let rawValue: Int

    /// The signatures of images.
    static let image = InsecureOptions(rawValue: 1)
    /// The certificates of servers.
    static let tls = InsecureOptions(rawValue: 2)
    /// Discovery, and registries, by HTTPS alone.
    static let http = InsecureOptions(rawValue: 4)
    /// The same for keys.
    static let pubkey = InsecureOptions(rawValue: 8)
    /// Rendered trees are not checked each time anyway.
    static let ondisk = InsecureOptions(rawValue: 16)
    static let capabilities = InsecureOptions(rawValue: 32)
    static let paths = InsecureOptions(rawValue: 64)
    static let seccomp = InsecureOptions(rawValue: 128)

    private static let names: [(String, InsecureOptions)] = [
        ("none", []), ("image", .image), ("tls", .tls), ("http", .http), ("pubkey", .pubkey), ("ondisk", .ondisk), ("capabilities", .capabilities),
        ("paths", .paths), ("seccomp", .seccomp), ("all-fetch", [.image, .tls, .http, .pubkey]), ("all-run", [.capabilities, .paths, .seccomp]),
        ("all", [.image, .tls, .http, .pubkey, .capabilities, .paths, .seccomp]),
    ]
    static let allValueStrings = names.map(\.0)

    init(rawValue: Int) { self.rawValue = rawValue }

    /// What the environment says, for all commands.
    static var environment: InsecureOptions { environmentVariable("D2A_INSECURE_OPTIONS").flatMap(InsecureOptions.init(argument:)) ?? [] }

    /// `image,tls`
    init?(argument: String) {
        var result: InsecureOptions = []
        for word in argument.split(separator: ",") {
            guard let found = Self.names.first(where: { $0.0 == word }) else { return nil }
            result.formUnion(found.1)
        }
        self = result
    }
}

/// When to ask for what may be in the store.
enum PullPolicy: String, ExpressibleByArgument, CaseIterable {
    /// Only for what isn't there.
    case new
    case never
    /// Always; what has not changed is not downloaded again.
    case update
}
