import CLinux
import Files
import Glibc
import Hashing
import Observation

/// Counts, hashes and keeps the beginning of what a program writes.
final class OutputRecorder {
    private let hasher = StreamHasher(.sha256)
    private var record = OutputRecord()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func take(_ bytes: UnsafeRawBufferPointer) {
        hasher.update(bytes)
        record.count += bytes.count
        record.beginning.append(contentsOf: bytes.prefix(max(0, limit - record.beginning.count)))
    }

    func finish() -> OutputRecord {
        record.sha256 = hasher.finish().hex
        return record
    }

    /// Reads from descriptors until the end of each.
    static func record(_ files: [OpenFile], limit: Int) throws -> [OutputRecord] {
        let recorders = files.map { _ in OutputRecorder(limit: limit) }
        var waiting = files.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        while waiting.contains(where: { $0.fd >= 0 }) {
            guard poll(&waiting, nfds_t(waiting.count), -1) > 0 else { continue }
            for index in waiting.indices where waiting[index].fd >= 0 && waiting[index].revents != 0 {
                let count = read(waiting[index].fd, buffer.baseAddress, buffer.count)
                if count > 0 {
                    recorders[index].take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                    // A terminal whose other side is closed answers with an error.
                    waiting[index].fd = -1
                }
            }
        }
        return recorders.map { $0.finish() }
    }
}
