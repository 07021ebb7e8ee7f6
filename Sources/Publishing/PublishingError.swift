import Diagnostics

/// An image that can't be published, or a place that can't be published to.
public enum PublishingError: DiagnosedError, Equatable {
    case notDiscoverable(String)
    case noPlatform(String)
    case badLabel(name: String, label: String, value: String)
    /// Two different images would have one name.
    case sameName(String, String, file: String)
    /// It is built on others by their names.
    case hasDependencies(String)
    case nothing(String)
    case badURL(String)
    case notSigned(String, key: String, reason: String)
    case noKey(String)
    /// What is there has a signature, and what would take its place none.
    case wasSigned(String)

    public var diagnosis: Diagnosis {
        switch self {
        case .notDiscoverable(let name):
            Diagnosis(
                "\"\(name)\" can't be found by discovery: such names begin with a host that has no port, and a slash",
                hint: "give it another name: --name example.com/app, or --name example.com/ to put that in the place of the first part")
        case .noPlatform(let name):
            Diagnosis(
                "\(name) has no labels os and arch, which discovery asks for", hint: "add them: d2a image patch-manifest --label os=linux --label arch=amd64 …")
        case .badLabel(let name, let label, let value):
            Diagnosis(
                "\(name): \"\(value)\" can't be the \(label) of a published image: letters, digits and - . _ ~ +",
                hint: "change it: d2a image patch-manifest --label \(label)=VALUE …")
        case .sameName(let one, let other, let file):
            Diagnosis("\(one) and \(other) would both be \(file)", hint: "give them other names or versions, or publish one of them")
        case .hasDependencies(let path):
            Diagnosis("\(path) is built on other images by their names, and can't have another name", hint: "publish it without --name, or convert it squashed")
        case .nothing(let path): Diagnosis("\(path): there is no ACI in it", hint: "name ACI files, or directories of files *.aci")
        case .badURL(let url):
            Diagnosis("\"\(url)\" is no address of a web server", hint: "write --url https://HOST[/PATH], where what is published will be found")
        case .notSigned(let path, let key, let reason):
            Diagnosis("\(path) can't be signed with the key \(key): \(reason)", hint: "gpg --list-secret-keys shows what keys there are")
        case .wasSigned(let file):
            Diagnosis("\(file) has a signature where it is published, and this image has none", hint: "sign it: --sign KEY; or remove the signature there")
        case .noKey(let key):
            Diagnosis("gpg has no secret key \(key)", hint: "gpg --list-secret-keys shows what keys there are; --quick-generate-key makes one")
        }
    }
}
