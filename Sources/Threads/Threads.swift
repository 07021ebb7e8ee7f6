import Glibc

/// A mutex with a condition: state that several threads of our own share and wait for.
///
/// Blocking work (files, networks, compression) runs on such threads and never on Swift's cooperative pool, which has no
/// thread to spare for waiting.
public final class Monitor<State>: @unchecked Sendable {
    private var state: State
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    public init(_ state: State) {
        self.state = state
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(condition)
        mutex.deallocate()
        condition.deallocate()
    }

    /// Runs `body` alone and wakes everybody who waits.
    public func update<T>(_ body: (inout State) throws -> T) rethrows -> T {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `body` gives a value.
    public func wait<T>(for body: (inout State) throws -> T?) rethrows -> T {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        while true {
            if let value = try body(&state) { return value }
            pthread_cond_wait(condition, mutex)
        }
    }
}

/// A thread that runs one closure.
public final class WorkerThread: @unchecked Sendable {
    private var thread = pthread_t()

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    public init(_ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(run)).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<Body>.fromOpaque(pointer!).takeRetainedValue().run()
                return nil
            }, body)
        guard code == 0 else { fatalError("can't start a thread: \(String(cString: strerror(code)))") }
    }

    /// Lets others go first, for work that nobody waits for as long as it keeps up. Called by the thread itself.
    public static func yieldToOthers() { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 5) }

    /// Waits for the closure to return. Either this or ``detach()`` is called, once.
    public func join() { pthread_join(thread, nil) }

    /// Nobody will wait for it.
    public func detach() { pthread_detach(thread) }
}

/// Processors this process may use.
public var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

/// Runs `body(0)` … `body(count - 1)` on at most `workers` threads and waits for all.
/// After an error no new index is begun; the error of the lowest index is thrown.
public func parallel(count: Int, workers: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    struct Progress {
        var next = 0
        var failure: (index: Int, error: any Error)?
    }
    let progress = Monitor(Progress())
    let threads = (0..<max(1, min(count, workers))).map { _ in
        WorkerThread {
            while true {
                let index = progress.update { state -> Int? in
                    guard state.failure == nil, state.next < count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let index else { return }
                do { try body(index) } catch {
                    progress.update { state in
                        if state.failure.map({ index < $0.index }) ?? true { state.failure = (index, error) }
                    }
                }
            }
        }
    }
    for thread in threads { thread.join() }
    if let failure = progress.update({ $0.failure }) { throw failure.error }
}

/// Seconds on a clock that only goes forward and that nobody sets.
public func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
