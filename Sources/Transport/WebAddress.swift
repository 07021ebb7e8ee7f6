import CCurl

/// An `http` or `https` URL, read by libcurl's own rules so that what is checked is what is fetched.
public struct WebAddress: Sendable, Hashable, CustomStringConvertible {
    /// The whole URL, normalised.
    public let text: String
    public let scheme: String
    public let host: String
    public let port: String

    /// - Returns: nil unless it is an absolute http or https URL.
    public init?(_ text: String) { self.init([text]) }

    /// Where a `Location` header leads from here; relative ones too.
    public func following(_ location: String) -> WebAddress? { WebAddress([text, location]) }

    /// The parts are read one after the other, each relative to the one before.
    private init?(_ steps: [String]) {
        guard let url = curl_url() else { return nil }
        defer { curl_url_cleanup(url) }
        for step in steps where curl_url_set(url, CURLUPART_URL, step, 0) != CURLUE_OK { return nil }
        func part(_ which: CURLUPart, _ flags: Int32 = 0) -> String? {
            var value: UnsafeMutablePointer<CChar>?
            guard curl_url_get(url, which, &value, UInt32(flags)) == CURLUE_OK, let value else { return nil }
            defer { curl_free(value) }
            return String(cString: value)
        }
        guard let scheme = part(CURLUPART_SCHEME)?.lowercased(), ["http", "https"].contains(scheme), let host = part(CURLUPART_HOST)?.lowercased(),
            let port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT), let text = part(CURLUPART_URL)
        else { return nil }
        self.scheme = scheme
        self.host = host
        self.port = port
        self.text = text
    }

    /// Whether credentials for one may be sent to the other (RFC 6454).
    public func hasOrigin(of other: WebAddress) -> Bool { scheme == other.scheme && host == other.host && port == other.port }

    /// Whether it is this machine itself.
    public var isLoopback: Bool { host == "localhost" || host.hasPrefix("127.") || host == "[::1]" }

    /// Without the query, which may hold a signature, and without a user's name and password.
    public var description: String { "\(scheme)://\(authority)\(path)" }

    /// `HOST[:PORT]`, without the port where it is the scheme's own.
    public var authority: String { (scheme == "https" && port == "443") || (scheme == "http" && port == "80") ? host : "\(host):\(port)" }

    private var path: String {
        let rest = text.drop { $0 != ":" }.dropFirst(3).prefix { $0 != "?" && $0 != "#" }
        return rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? ""
    }
}

/// `text` with everything but RFC 3986's unreserved characters percent-encoded, for one value of a query.
public func queryEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".unicodeScalars)
    var result = String.UnicodeScalarView()
    for byte in text.utf8 {
        let scalar = Unicode.Scalar(byte)
        if scalar.isASCII, scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "-._~".unicodeScalars.contains(scalar) {
            result.append(scalar)
        } else {
            result.append(contentsOf: ["%", digits[Int(byte >> 4)], digits[Int(byte & 15)]])
        }
    }
    return String(result)
}
