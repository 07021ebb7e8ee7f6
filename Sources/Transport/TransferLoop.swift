import CCurl
import Threads

/// A thread that runs the transfers of all others, over libcurl's multi interface: those to one host share a connection where it speaks
/// HTTP/2, and have one each where it doesn't.
final class TransferLoop: Sendable {
    private enum Command {
        case start(Transfer)
        case resume(Transfer)
        case abandon(Transfer)
        case stop
    }

    /// Only the thread touches the handle, but for waking that up.
    private struct Multi: @unchecked Sendable { let handle: UnsafeMutableRawPointer }
    private let multi: Multi
    private let commands = Monitor<[Command]>([])
    private let thread: WorkerThread

    init() {
        guard let handle = curl_multi_init() else { fatalError("libcurl can't start") }
        multi = Multi(handle: handle)
        thread = WorkerThread { [multi, commands] in Self.run(multi.handle, commands) }
    }

    /// Nothing of it is left: whoever gives rights up next does so for all threads.
    deinit {
        send(.stop)
        thread.join()
    }

    func start(_ transfer: Transfer) { send(.start(transfer)) }
    /// Goes on with one that was stopped because nobody read.
    func resume(_ transfer: Transfer) { send(.resume(transfer)) }
    /// Ends one; its last event comes all the same.
    func abandon(_ transfer: Transfer) { send(.abandon(transfer)) }

    /// The thread is woken up before it can see the command: after the last one the handle is gone.
    private func send(_ command: Command) {
        commands.update {
            $0.append(command)
            curl_multi_wakeup(multi.handle)
        }
    }

    private static func run(_ multi: UnsafeMutableRawPointer, _ commands: Monitor<[Command]>) {
        var running: [UnsafeMutableRawPointer: Transfer] = [:]
        func end(_ curl: UnsafeMutableRawPointer, _ result: CURLcode) {
            guard let transfer = running.removeValue(forKey: curl) else { return }
            curl_multi_remove_handle(multi, curl)
            transfer.finish(result)
        }
        while true {
            let received = commands.update { commands in
                defer { commands = [] }
                return commands
            }
            for command in received {
                switch command {
                case .start(let transfer):
                    running[transfer.curl] = transfer
                    curl_multi_add_handle(multi, transfer.curl)
                case .resume(let transfer): if running[transfer.curl] != nil { transfer.resume() }
                case .abandon(let transfer): end(transfer.curl, CURLE_ABORTED_BY_CALLBACK)
                case .stop:
                    for curl in running.keys { end(curl, CURLE_ABORTED_BY_CALLBACK) }
                    curl_multi_cleanup(multi)
                    return
                }
            }
            var count: Int32 = 0
            curl_multi_perform(multi, &count)
            while let message = curl_multi_info_read(multi, &count) {
                if message.pointee.msg == CURLMSG_DONE { end(message.pointee.easy_handle, message.pointee.data.result) }
            }
            for transfer in running.values { transfer.handOver() }
            // Woken up by what comes, by timers of transfers, and by commands.
            curl_multi_poll(multi, nil, 0, 60_000, nil)
        }
    }
}
