import Diagnostics

/// An object store that doesn't do what it was asked.
public enum ObjectStorageError: DiagnosedError, Equatable {
    case badURL(String)
    case badEndpoint(String)
    /// Any other answer than success. `code` is the store's word for what is wrong.
    case refused(url: String, isWriting: Bool, status: Int, code: String, reason: String, region: String?)
    /// An answer that can't be understood.
    case badAnswer(url: String, what: String)

    public var diagnosis: Diagnosis {
        switch self {
        case .badURL(let url): Diagnosis("\"\(url)\" is no place in an object store", hint: "write s3://BUCKET or s3://BUCKET/PREFIX")
        case .badEndpoint(let endpoint):
            Diagnosis("\"\(endpoint)\" is no address of an object store", hint: "set AWS_ENDPOINT_URL to https://HOST[:PORT], or unset it for AWS itself")
        case .refused(let url, let isWriting, let status, let code, let reason, let region):
            Diagnosis(
                "\(url): the object store answers \(status)\(code.isEmpty ? "" : " \(code)")\(reason.isEmpty ? "" : ": \(reason)")",
                hint: region.map { "the bucket is in \($0): set AWS_REGION" } ?? Self.hint(status, code, isWriting))
        case .badAnswer(let url, let what): Diagnosis("\(url): the object store's answer can't be understood: \(what)", hint: "check AWS_ENDPOINT_URL")
        }
    }

    private static func hint(_ status: Int, _ code: String, _ isWriting: Bool) -> String {
        switch code {
        case "NoSuchBucket": return "check the bucket's name and AWS_ENDPOINT_URL, or make the bucket"
        case "RequestTimeTooSkewed": return "set this machine's clock"
        default: break
        }
        switch status {
        case 400, 401, 403:
            return "check the keys, AWS_REGION, and what they are allowed: it takes s3:ListBucket, s3:GetObject\(isWriting ? ", s3:PutObject" : "")"
        case 404: return "check the bucket's name and AWS_ENDPOINT_URL, or make the bucket"
        default: return "try again later"
        }
    }
}
