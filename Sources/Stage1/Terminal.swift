import CLinux
import Files
import Glibc

/// The person's terminal, handed to the app while this lives: keys go to the app as they are, and the modes are put back at the
/// end.
final class Terminal {
    /// The side of the app's terminal that this process holds.
    let master: OpenFile
    private var modes = termios()
    /// Keys that the app hasn't taken yet.
    private var pending: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: 65536)
    private var inputOpen = true
    private(set) var outputOpen = true

    init(master: OpenFile) {
        self.master = master
        tcgetattr(STDIN_FILENO, &modes)
        setNonblocking(master.descriptor)
        take()
    }

    private func take() {
        var raw = modes
        cfmakeraw(&raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw)
        resize()
    }

    /// Stops this process, as a shell wants it whose terminal it has, until it is to go on.
    func suspend() {
        restore()
        kill(getpid(), SIGSTOP)
        take()
    }

    deinit { restore() }

    func restore() { tcsetattr(STDIN_FILENO, TCSADRAIN, &modes) }

    func resize() { _ = system_copy_window_size(STDIN_FILENO, master.descriptor) }

    /// What to wait for.
    var interests: [pollfd] {
        var result: [pollfd] = []
        // A program that reads nothing must not make us read without end.
        if inputOpen, pending.count < 4096 { result.append(pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)) }
        if outputOpen { result.append(pollfd(fd: master.descriptor, events: Int16(POLLIN | (pending.isEmpty ? 0 : POLLOUT)), revents: 0)) }
        return result
    }

    func handle(_ ready: pollfd) throws(FileError) {
        guard ready.revents != 0 else { return }
        if ready.fd == STDIN_FILENO {
            let count = read(STDIN_FILENO, &buffer, 4096)
            if count > 0 { pending.append(contentsOf: buffer[..<count]) } else { inputOpen = false }
            writePending()
        } else {
            if Int32(ready.revents) & POLLOUT != 0 { writePending() }
            if Int32(ready.revents) & (POLLIN | POLLHUP | POLLERR) != 0 { try drain(once: true) }
        }
    }

    /// Shows what the app has written. The app's side being closed shows as an error of `read`.
    func drain(once: Bool = false) throws(FileError) {
        while outputOpen {
            let count = read(master.descriptor, &buffer, buffer.count)
            if count < 0, errno == EAGAIN { return }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                outputOpen = false
                return
            }
            try writeAll(buffer[..<count])
            if once { return }
        }
    }

    private func writeAll(_ bytes: ArraySlice<UInt8>) throws(FileError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBufferPointer { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EIO || errno == EPIPE {
                // The person's terminal is gone; what becomes of the app is its own to decide.
                return
            } else if errno != EINTR {
                throw FileError("write to", "the terminal")
            }
        }
    }

    private func writePending() {
        guard !pending.isEmpty else { return }
        let count = pending.withUnsafeBufferPointer { write(master.descriptor, $0.baseAddress, $0.count) }
        if count > 0 { pending.removeFirst(count) }
    }

    private func setNonblocking(_ descriptor: Int32) { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }
}
