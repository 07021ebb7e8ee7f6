import Diagnostics

/// Credentials that can't be read.
public enum CredentialError: DiagnosedError, Equatable {
    case badFile(path: String)
    case badHelper(String, reason: String)
    case badOption
    case noObjectStoreKeys(profile: String)
    case badObjectStoreFile(path: String)
    case unknownType(String, domain: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badFile(let path):
            Diagnosis("\(path) can't be understood", hint: "it should be what docker login writes, or rkt's auth.d: mend it or move it away")
        case .badHelper(let name, let reason):
            Diagnosis("the credential helper docker-credential-\(name) doesn't work: \(reason)", hint: "install it, or take it out of the Docker configuration")
        case .noObjectStoreKeys(let profile):
            Diagnosis(
                "there are no keys for the object store",
                hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to [\(profile)] of ~/.aws/credentials")
        case .badObjectStoreFile(let path):
            Diagnosis("\(path) can't be understood", hint: "it should be what aws configure writes: mend it or move it away")
        case .unknownType(let type, let domain):
            Diagnosis("auth.d lets us into \(domain) by the type \"\(type)\", which is not known here", hint: "known are basic and oauth")
        case .badOption: Diagnosis("--creds and --creds-stdin take USER:PASSWORD", hint: "or log in with docker login, whose file is read")
        }
    }
}
