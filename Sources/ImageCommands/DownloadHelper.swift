import AppC
import ArgumentParser
import Credentials
import Diagnostics
import Discovery
import Files
import Glibc
import Image
import ImageOptions
import Program
import Sandbox
import Store
import Transport

extension WebAccess {
    /// What shows a server who asks: only by HTTPS, or within this machine, and never where it redirects to.
    fileprivate func secrets(for address: WebAddress) throws -> [(String, String)] {
        guard address.scheme == "https" || address.isLoopback else { return [] }
        return try authorization(for: address.authority).map { [("Authorization", $0)] } ?? []
    }

    /// What `d2a` has found.
    fileprivate init(descriptor: Int32) throws {
        self = try CanonicalJSON.decode(WebAccess.self, from: OpenFile(descriptor: descriptor, path: "the credentials").readAll(limit: 1 << 20))
    }
}

/// What a web server was asked for can't be had.
enum WebError: DiagnosedError {
    case noAddress(String)
    case status(WebAddress, Int)

    var diagnosis: Diagnosis {
        switch self {
        case .noAddress(let text): Diagnosis("\"\(text)\" is no web address", hint: "write https://HOST/PATH")
        case .status(let address, let status): Diagnosis("\(address): the server answers \(status)", hint: "check the address, or try again later")
        }
    }
}

/// Downloads a file, and its signature, unless it has not changed. Descriptors: 3 the directory of the download (``Store/Download``),
/// 4 the report, 5 the file to write the signature to, 6 how web servers let us in.
struct DownloadHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "download")

    @Argument var url: String
    @Option var signature: String?
    @Option(help: "The ETag of what we have.") var etag: String?
    @Option(help: "The time of what we have.") var lastModified: String?
    @Option(help: "At most so many bytes.") var limit: Int
    @OptionGroup var web: ServerOptions
    @Option var progress: ProgressStyle = .auto
    @Flag var quiet = false

    func run() throws {
        let directory = Directory(descriptor: 3, path: "the download")
        try becomeNobody(handingOver: [3, 5])
        try Sandbox(writing: [directory], network: true).enter()
        guard let address = WebAddress(url) else { throw WebError.noAddress(url) }
        let (client, access) = (HTTPClient(web.transport), try WebAccess(descriptor: 6))
        var report = try download(address, directory, client, secrets: access.secrets(for: address))
        if report.status == 200, let signature {
            guard let place = WebAddress(signature) else { throw WebError.noAddress(signature) }
            let answer = try client.get(place, secrets: access.secrets(for: place), limit: 1 << 20)
            report.signatureStatus = answer.response.status
            if answer.response.status == 200 {
                try answer.body.withUnsafeBytes { try OpenFile(descriptor: 5, path: "the signature").write($0) }
            }
        }
        try OpenFile(descriptor: 4, path: "d2a").write(CanonicalJSON.text(report))
    }

    private func download(_ address: WebAddress, _ directory: Directory, _ client: HTTPClient, secrets: [(String, String)]) throws -> DownloadReport {
        let data = try directory.file(Download.dataName, O_RDWR | O_CREAT, mode: 0o600)
        var about = (try? CanonicalJSON.decode(Download.About.self, from: directory.file(Download.aboutName).readAll(limit: 1 << 16))) ?? .init(url: url)
        let display = ProgressDisplay(progress, quiet: quiet, of: "file")
        defer { display.finish() }
        let response = try client.retrying {
            var headers: [(String, String)] = []
            if let etag { headers.append(("If-None-Match", etag)) } else if let lastModified { headers.append(("If-Modified-Since", lastModified)) }
            // What came is only good where the server can say that it is still the same.
            var received = 0
            if let mark = about.etag.flatMap({ $0.hasPrefix("W/") ? nil : $0 }) ?? about.lastModified, try data.size() > 0 {
                received = try data.size()
                headers += [("Range", "bytes=\(received)-"), ("If-Range", mark)]
            }
            var begun = false
            var file = LayerDescriptor(digest: nil, diffID: nil, size: nil)
            let response = try client.get(address, headers: headers, secrets: secrets) { response, chunk in
                if !begun {
                    begun = true
                    if response.status == 206, response.headers["content-range"]?.hasPrefix("bytes \(received)-") == true {
                        try data.seek(to: received)
                    } else {
                        guard response.status == 200 else { throw WebError.status(address, response.status) }
                        try data.restart()
                        about = .init(url: url, etag: response.headers["etag"], lastModified: response.headers["last-modified"])
                        try directory.write(CanonicalJSON.encode(about), atomicallyTo: Download.aboutName)
                        received = 0
                    }
                    let size = response.headers["content-length"].flatMap(Int.init).map { $0 + received }
                    file = LayerDescriptor(digest: nil, diffID: nil, size: size, imageID: address.description)
                    for event in [SourceEvent.found(layers: [file]), .started(layer: file)] { display.handle(event) }
                }
                received += chunk.count
                guard received <= limit else { throw TransportError.tooLong(address, limit: limit) }
                try data.write(chunk)
                display.handle(.received(layer: file, bytes: received))
            }
            if begun, response.isSuccess { display.handle(.finished(layer: file)) }
            // All of it was here already, or what was here is none of it.
            if response.status == 416 {
                var answer = response
                answer.status = response.headers["content-range"] == "bytes */\(received)" ? 200 : 503
                if answer.status == 503 { try data.restart() }
                return answer
            }
            if response.status == 200, !begun { try data.restart() }
            return response
        } response: {
            $0
        }
        let status = response.status == 206 ? 200 : response.status
        return DownloadReport(
            status: status, etag: response.headers["etag"], lastModified: response.headers["last-modified"], maxAge: Self.maxAge(response.headers))
    }

    /// RFC 9111; what must not be kept must be asked for again.
    private static func maxAge(_ headers: HTTPHeaders) -> Int? {
        let directives = headers.all("cache-control").joined(separator: ",").lowercased().split(separator: ",").map { $0.filter { $0 != " " } }
        if directives.contains("no-store") || directives.contains("no-cache") { return nil }
        return directives.lazy.compactMap { $0.hasPrefix("max-age=") ? Int($0.dropFirst("max-age=".count)) : nil }.first
    }
}

/// Asks where an appc name leads. Descriptors: 3 the report, 4 how web servers let us in.
struct DiscoverHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "discover")

    @Argument var name: String
    @OptionGroup var web: ServerOptions

    func run() throws {
        try becomeNobody()
        try Sandbox(network: true).enter()
        let name = try AppName(self.name)
        let (client, access) = (HTTPClient(web.transport), try WebAccess(descriptor: 4))
        var result = DiscoveredImage()
        for page in Discovery.pages(of: name.name) {
            for scheme in web.insecureAllowHttp ? ["https", "http"] : ["https"] {
                guard let address = WebAddress("\(scheme)://\(page)?ac-discovery=1") else { continue }
                let secrets = try access.secrets(for: address)
                guard let answer = try? client.get(address, secrets: secrets, limit: 4 << 20), answer.response.status == 200 else { continue }
                let found = Discovery.read(answer.body, for: name)
                if result.endpoints.isEmpty { result.endpoints = found.endpoints }
                if result.keys.isEmpty { result.keys = found.keys }
                break
            }
            if !result.endpoints.isEmpty { break }
        }
        try OpenFile(descriptor: 3, path: "d2a").write(CanonicalJSON.text(result))
    }
}

/// Runs GnuPG as nobody. `verify`: descriptors 3 what is signed, 4 the signature, 5 the keyring, 6 the file for its status. `show` and
/// `dearmor`: 3 a key, 4 a file for what it prints, 5 a directory to work in.
struct GnuPGHelper: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "gnupg")

    enum Work: String, ExpressibleByArgument { case verify, show, dearmor }
    @Argument var work: Work

    func run() throws {
        let program = work == .verify ? "gpgv" : "gpg"
        // By its descriptor: the parents of the directory may be closed to nobody.
        var words = [program, "--homedir", work == .verify ? "/nonexistent" : "/proc/self/fd/5", "--quiet"]
        if work == .verify {
            words += ["--enable-special-filenames", "--status-fd", "6", "--keyring", "/proc/self/fd/5", "--", "-&4", "-&3"]
        } else {
            words += ["--no-options", "--batch", "--no-autostart", "--no-tty"]
            words += work == .show ? ["--with-colons", "--with-fingerprint", "--show-keys"] : ["--dearmor"]
            guard fchdir(5) == 0, dup2(3, 0) == 0, dup2(4, 1) == 1 else { throw FileError("enter", "the store") }
        }
        // What it says to people is said in other words by d2a.
        if let null = try? OpenFile.open("/dev/null", O_WRONLY) { dup2(null.descriptor, 2) }
        try becomeNobody(handingOver: work == .verify ? [] : [5])
        var pointers = words.map { strdup($0) } + [nil]
        execvp(program, &pointers)
        _exit(127)
    }
}
