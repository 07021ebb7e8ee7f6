import Glibc
import Threads

/// How much of a server, and of the network, is taken at most, however many threads ask.
public struct RequestLimits: Sendable {
    /// Requests under way at once, by one client.
    public var connections: Int?
    /// Requests that one client begins in a second.
    public var requestsPerSecond: Double?
    /// Of all that share it.
    public var bandwidth: Bandwidth?

    public init(connections: Int? = nil, requestsPerSecond: Double? = nil, bandwidth: Bandwidth? = nil) {
        (self.connections, self.requestsPerSecond, self.bandwidth) = (connections, requestsPerSecond, bandwidth)
    }
}

/// So many bytes a second, for all threads and clients together.
public final class Bandwidth: Sendable {
    private let bytesPerSecond: Double
    /// When the next bytes may come.
    private let ready = Monitor(0.0)

    public init(bytesPerSecond: Int) { self.bytesPerSecond = Double(max(1, bytesPerSecond)) }

    /// Waits as long as so many bytes that have come should have taken.
    func admit(_ count: Int) {
        let wait = ready.update { ready -> Double in
            let time = monotonicSeconds()
            ready = max(ready, time) + Double(count) / bytesPerSecond
            return ready - time
        }
        // Bytes come in pieces of some 512 KiB at most.
        if wait > 0 { usleep(UInt32(min(wait, 4000) * 1e6)) }
    }
}

/// Lets requests pass as a client's limits say, and none while the server wants to be left alone.
final class RequestGate: Sendable {
    private struct State {
        var underWay = 0
        /// When the next request may begin.
        var next = 0.0
    }
    private let limits: RequestLimits
    private let state = Monitor(State())

    init(_ limits: RequestLimits) { self.limits = limits }

    func enter() {
        while true {
            let wait = state.wait { state -> Double? in
                if let connections = limits.connections, state.underWay >= connections { return nil }
                let time = monotonicSeconds()
                guard state.next <= time else { return state.next - time }
                state.underWay += 1
                if let rate = limits.requestsPerSecond { state.next = time + 1 / rate }
                return 0
            }
            if wait <= 0 { return }
            usleep(UInt32(min(wait, 60) * 1e6))
        }
    }

    func leave() { state.update { $0.underWay -= 1 } }

    /// A server has asked for so many seconds of peace (RFC 9110, Retry-After): all who ask it keep them.
    func pause(_ seconds: Double) { state.update { $0.next = max($0.next, monotonicSeconds() + seconds) } }
}
