import CCurl
import Files
import Threads

/// One exchange with a server: the loop's thread fills it, and the thread that asked empties it.
///
/// What comes goes through two buffers in turn. Where the reader falls behind, libcurl stops reading from the network.
final class Transfer: @unchecked Sendable {
    private struct Shared {
        var response = HTTPResponse(status: 0, headers: HTTPHeaders(), errorBody: [])
        /// Bytes that the reader has not taken.
        var ready: [UInt8]?
        /// Those that came last of all.
        var rest: [UInt8] = []
        var result: CURLcode?
        /// A buffer that was read.
        var spare: [UInt8] = []
        /// Whether the loop has more than fits.
        var isBehind = false
        /// Whether the reader is to hear that an answer has begun.
        var hasBegun = false
    }

    let curl: UnsafeMutableRawPointer = curl_easy_init()
    private let words = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private let shared = Monitor(Shared())

    // These are the loop's thread's alone.
    private var response = HTTPResponse(status: 0, headers: HTTPHeaders(), errorBody: [])
    private var filling: [UInt8] = []
    private var isPaused = false
    private var tellsBeginning: Bool

    /// Bytes of a buffer.
    private static let limit = 512 << 10

    /// - Parameter tellsBeginning: whether the reader gets nothing, for once, when an answer has begun: its body may be long in coming.
    init(tellsBeginning: Bool = false) {
        self.tellsBeginning = tellsBeginning
        words.pointee = 0
        curl_shim_set_text(curl, CURLOPT_ERRORBUFFER, words)
        let context = Unmanaged.passUnretained(self).toOpaque()
        curl_shim_set_header_reader(curl, { Transfer.from($3).receiveHeader($0!, $1 * $2) }, context)
        curl_shim_set_writer(curl, { Transfer.from($3).receiveBody(UnsafeRawBufferPointer(start: $0, count: $1 * $2)) }, context)
    }

    deinit {
        curl_easy_cleanup(curl)
        words.deallocate()
    }

    private static func from(_ context: UnsafeMutableRawPointer?) -> Transfer { Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue() }

    // MARK: The reader

    /// What the server says; whole when everything has come.
    var answer: HTTPResponse { shared.update { $0.response } }

    /// What went wrong, for when everything has come: in the system's words where a connection to `host` failed, else in libcurl's.
    func reason(_ code: CURLcode, host: String) -> String {
        let (detail, number) = (String(cString: words), Int32(curl_shim_os_error(curl)))
        // Where another host is named, it is a proxy's connection.
        if code == CURLE_COULDNT_CONNECT, number != 0, detail.contains(host) { return errorText(number) }
        return detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail
    }

    /// Blocks until there is more, or nothing more comes.
    /// - Parameters:
    ///   - bytes: what was read before; afterwards what comes next.
    ///   - loop: what runs this transfer.
    /// - Returns: how it ended; nil where it hasn't.
    func read(into bytes: inout [UInt8], _ loop: TransferLoop) -> CURLcode? {
        bytes.removeAll(keepingCapacity: true)
        shared.update { swap(&$0.spare, &bytes) }
        var isBehind = false
        let result = shared.wait { shared -> CURLcode?? in
            if shared.hasBegun {
                shared.hasBegun = false
                return .some(nil)
            }
            if let ready = shared.ready {
                (bytes, shared.ready) = (ready, nil)
                swap(&isBehind, &shared.isBehind)
                return .some(nil)
            }
            guard let result = shared.result else { return nil }
            swap(&bytes, &shared.rest)
            return bytes.isEmpty ? result : .some(nil)
        }
        if isBehind { loop.resume(self) }
        return result
    }

    // MARK: The loop

    /// Gives the reader what has come, if it has read what it was given before.
    func handOver() {
        guard !filling.isEmpty else { return }
        shared.update { shared in
            guard shared.ready == nil else {
                shared.isBehind = true
                return
            }
            shared.response = response
            shared.ready = filling
            filling = []
            swap(&filling, &shared.spare)
        }
    }

    /// The reader has read.
    func resume() {
        handOver()
        guard isPaused, filling.count < Self.limit else { return }
        isPaused = false
        curl_easy_pause(curl, CURLPAUSE_CONT)
    }

    func finish(_ result: CURLcode) {
        response.status = curl_shim_status(curl)
        shared.update { shared in
            (shared.response, shared.rest, shared.result) = (response, filling, result)
            filling = []
        }
    }

    private func receiveHeader(_ bytes: UnsafeMutablePointer<CChar>, _ count: Int) -> Int {
        let line = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // A status line: also that of an interim answer, or of a proxy's.
            response.headers = HTTPHeaders()
            response.status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }.prefix { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }
            response.headers.add(String(line[..<colon]), String(value))
        } else if tellsBeginning, response.status >= 200 {
            // The empty line.
            tellsBeginning = false
            shared.update { ($0.response, $0.hasBegun) = (response, true) }
        }
        return count
    }

    private func receiveBody(_ chunk: UnsafeRawBufferPointer) -> Int {
        guard response.isSuccess else {
            guard response.errorBody.count + chunk.count <= 1 << 20 else { return 0 }
            response.errorBody.append(contentsOf: chunk)
            return chunk.count
        }
        if filling.count >= Self.limit { handOver() }
        guard filling.count < Self.limit else {
            isPaused = true
            return Int(CURL_WRITEFUNC_PAUSE)
        }
        filling.append(contentsOf: chunk)
        return chunk.count
    }
}
