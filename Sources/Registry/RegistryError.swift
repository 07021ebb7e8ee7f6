import Diagnostics
import Digest
import Reference

/// A registry that doesn't give what was asked for.
public enum RegistryError: DiagnosedError, Equatable {
    case repositoryNotFound(ImageReference)
    /// It doesn't speak the protocol that it was spoken to in.
    case otherProtocol(ImageReference)
    /// `tags`: some that are there.
    case tagNotFound(ImageReference, tags: [String])
    case digestNotFound(ImageReference)
    /// The registry wants credentials, or better ones.
    case denied(ImageReference, reason: String, hasCredential: Bool)
    /// Any other answer than success.
    case refused(ImageReference, what: String, status: Int, reason: String)
    /// Bytes that are not what their name says.
    case wrongDigest(ImageReference, what: String, expected: Digest, actual: Digest)
    case wrongSize(ImageReference, what: String, expected: Int, actual: Int)
    /// An answer that can't be understood.
    case invalid(ImageReference, reason: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .repositoryNotFound(let reference):
            Diagnosis(
                "\(reference.registry) has no repository \(reference.repository)", hint: "check the spelling; a private one looks missing without a login")
        case .otherProtocol(let reference):
            Diagnosis("\(reference.registry) doesn't answer as a registry does", hint: "check the name; an old registry may need --registry-version v1")
        case .tagNotFound(let reference, let tags):
            Diagnosis(
                "\(reference.registry)/\(reference.repository) has no tag \(reference.tag ?? "")",
                hint: tags.isEmpty ? "check the spelling" : "it has: \(tags.prefix(12).joined(separator: ", "))\(tags.count > 12 ? ", …" : "")")
        case .digestNotFound(let reference):
            Diagnosis(
                "\(reference.registry)/\(reference.repository) has no image \(reference.manifestReference)",
                hint: "check the digest, or ask by a tag: registries drop what no tag leads to")
        case .denied(let reference, let reason, let hasCredential):
            Diagnosis(
                "\(reference.registry) doesn't let us read \(reference.repository)\(reason.isEmpty ? "" : ": \(reason)")",
                hint: hasCredential
                    ? "it doesn't exist, or your credential isn't good for it"
                    : "it is private, or it doesn't exist: docker login or --creds USER:PASSWORD may help")
        case .refused(let reference, let what, let status, let reason):
            Diagnosis(
                "\(reference.registry) answers \(status) for \(what)\(reason.isEmpty ? "" : ": \(reason)")",
                hint: "try again later, or ask whoever runs the registry")
        case .wrongDigest(let reference, let what, let expected, let actual):
            Diagnosis(
                "\(what) of \(reference) has the digest \(actual), not \(expected)",
                hint: "the registry, or something between, damages what it sends: nothing was kept")
        case .wrongSize(let reference, let what, let expected, let actual):
            Diagnosis(
                "\(what) of \(reference) has \(actual) bytes, not \(expected)",
                hint: "the registry, or something between, damages what it sends: nothing was kept")
        case .invalid(let reference, let reason): Diagnosis("\(reference): \(reason)", hint: "this is not an image that d2a knows, or not a registry")
        }
    }
}
