import AppC
import Files

/// Where an object store is that speaks S3, and how it lets us in, as AWS's own tools read it:
///
/// 1. `$AWS_ACCESS_KEY_ID`, `$AWS_SECRET_ACCESS_KEY`, `$AWS_SESSION_TOKEN`; `$AWS_REGION`, `$AWS_DEFAULT_REGION`;
///    `$AWS_ENDPOINT_URL_S3`, `$AWS_ENDPOINT_URL`;
/// 2. the section of `$AWS_PROFILE` (`default`) of `$AWS_SHARED_CREDENTIALS_FILE` (`~/.aws/credentials`) and of `$AWS_CONFIG_FILE`
///    (`~/.aws/config`): the keys, `region`, `endpoint_url`, and `addressing_style` (`path`, `virtual`) below `s3`.
///
/// It never shows its secret.
public struct ObjectStoreAccess: Sendable, Codable, CustomStringConvertible, CustomReflectable {
    public var keyID: String
    public var secret: String
    /// For keys that were given for a while.
    public var sessionToken: String?
    public var region: String
    /// `http` or `https` URL; nil for AWS itself.
    public var endpoint: String?
    /// Whether the bucket is the beginning of the path, or of the host's name.
    public var usesPaths: Bool

    public init(keyID: String, secret: String, sessionToken: String? = nil, region: String = "us-east-1", endpoint: String? = nil, usesPaths: Bool? = nil) {
        (self.keyID, self.secret, self.sessionToken, self.region, self.endpoint) = (keyID, secret, sessionToken, region, endpoint)
        // Few stores but AWS's own have a name for each bucket.
        self.usesPaths = usesPaths ?? (endpoint != nil)
    }

    /// Looks through the environment and files of whoever runs this.
    /// - Throws: ``CredentialError``
    public init() throws { try self.init(variables: environmentVariable) }

    init(variables: (String) -> String?) throws {
        func variable(_ name: String) -> String? { variables(name).flatMap { $0.isEmpty ? nil : $0 } }
        let home = variable("HOME").map { $0 + "/.aws/" }
        let profile = variable("AWS_PROFILE") ?? "default"
        let keys = try Self.section([profile], of: variable("AWS_SHARED_CREDENTIALS_FILE") ?? home.map { $0 + "credentials" })
        let settings = try Self.section([profile, "profile \(profile)"], of: variable("AWS_CONFIG_FILE") ?? home.map { $0 + "config" })
        let (keyID, secret, token): (String?, String?, String?)
        if let named = variable("AWS_ACCESS_KEY_ID") {
            (keyID, secret, token) = (named, variable("AWS_SECRET_ACCESS_KEY"), variable("AWS_SESSION_TOKEN"))
        } else {
            let section = keys["aws_access_key_id"] == nil ? settings : keys
            (keyID, secret, token) = (section["aws_access_key_id"], section["aws_secret_access_key"], section["aws_session_token"])
        }
        guard let keyID, let secret else { throw CredentialError.noObjectStoreKeys(profile: profile) }
        self.init(
            keyID: keyID, secret: secret, sessionToken: token,
            region: variable("AWS_REGION") ?? variable("AWS_DEFAULT_REGION") ?? settings["region"] ?? "us-east-1",
            endpoint: variable("AWS_ENDPOINT_URL_S3") ?? variable("AWS_ENDPOINT_URL") ?? settings["endpoint_url"],
            usesPaths: ["path": true, "virtual": false][settings["s3.addressing_style"] ?? settings["addressing_style"] ?? ""])
    }

    /// The first section of one of these names; empty where there is no such file.
    private static func section(_ names: [String], of path: String?) throws -> [String: String] {
        guard let path, let file = try? OpenFile.open(path) else { return [:] }
        guard let bytes = try? file.readAll(limit: 1 << 20) else { throw CredentialError.badObjectStoreFile(path: path) }
        var result: [String: String] = [:]
        // What is indented belongs to the setting above it: `s3 =`, then `addressing_style = path`.
        var (isInside, above) = (false, "")
        for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
            let text = trimmed(line)
            if text.isEmpty || text.hasPrefix("#") || text.hasPrefix(";") { continue }
            if text.hasPrefix("["), text.hasSuffix("]") {
                isInside = names.contains(trimmed(text.dropFirst().dropLast()))
                continue
            }
            guard isInside else { continue }
            guard let equals = text.firstIndex(of: "=") else { throw CredentialError.badObjectStoreFile(path: path) }
            let (name, value) = (trimmed(text[..<equals]).lowercased(), trimmed(text[text.index(after: equals)...]))
            if line.first?.isWhitespace == true {
                result["\(above).\(name)"] = value
            } else {
                above = name
                result[name] = value
            }
        }
        return result
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    public var description: String { "an object store's keys" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
