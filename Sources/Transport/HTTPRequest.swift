import CCurl
import Files
import Glibc

/// One request, for those who do more than read.
public struct HTTPRequest {
    public enum Method: Sendable { case get, head, put, post, delete }

    public enum Body {
        case none
        /// Of a POST.
        case bytes([UInt8])
        /// Of a PUT or POST: `length` bytes of a file from `offset` on.
        case file(OpenFile, offset: Int, length: Int)
    }

    public var method: Method
    public var address: WebAddress
    public var headers: [(String, String)]
    public var body: Body
    public var signature: RequestSignature?

    public init(
        _ method: Method, _ address: WebAddress, headers: [(String, String)] = [], body: Body = .none, signature: RequestSignature? = nil
    ) {
        (self.method, self.address, self.headers, self.body, self.signature) = (method, address, headers, body, signature)
    }
}

/// How libcurl signs a request: AWS's signature of version 4, which S3 and what speaks like it want.
///
/// The request's query must be encoded and in the order of its names, with an `=` after each, and the digest of its body in the
/// header `x-amz-content-sha256`: libcurl signs both as they are.
public struct RequestSignature: Sendable {
    var keyID: String
    var secret: String
    /// What libcurl calls providers, region and service.
    var scope: String

    public init(keyID: String, secret: String, region: String, service: String) {
        (self.keyID, self.secret, scope) = (keyID, secret, "aws:amz:\(region):\(service)")
    }
}

/// A part of a file as libcurl reads it: once, or from the beginning again where a connection was gone.
final class FileBody {
    private let file: OpenFile
    private let offset: Int
    private let length: Int
    private var position = 0
    private(set) var failure: FileError?

    init(_ file: OpenFile, offset: Int, length: Int) { (self.file, self.offset, self.length) = (file, offset, length) }

    /// Makes it the body of the next request; the caller keeps it until that is done.
    func attach(to curl: UnsafeMutableRawPointer) {
        _ = curl_shim_set_long(curl, CURLOPT_UPLOAD, 1)
        _ = curl_shim_set_size(curl, CURLOPT_INFILESIZE_LARGE, curl_off_t(length))
        _ = curl_shim_set_reader(curl, Self.read, Self.seek, Unmanaged.passUnretained(self).toOpaque())
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let wanted = min(buffer.count, length - position)
        guard wanted > 0 else { return 0 }
        do throws(FileError) {
            let count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset + position)
            // A file that has become shorter: there is nothing that could be sent in place of its end.
            guard count > 0 else { throw FileError("read all of", file.path, code: EIO) }
            position += count
            return count
        } catch {
            failure = error
            return Int(CURL_READFUNC_ABORT)
        }
    }

    private static let read: curl_shim_writer = { bytes, size, count, context in
        Unmanaged<FileBody>.fromOpaque(context!).takeUnretainedValue().read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
    }

    private static let seek: curl_shim_seeker = { context, offset, origin in
        guard origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
        Unmanaged<FileBody>.fromOpaque(context!).takeUnretainedValue().position = Int(offset)
        return CURL_SEEKFUNC_OK
    }
}
