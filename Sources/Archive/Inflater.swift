import CISAL

/// Inflates gzip (RFC 1952), any number of members, over ISA-L. Checks every member's CRC and length.
final class Inflater: ByteSource {
    private let input: PeekedSource
    private let state: UnsafeMutablePointer<inflate_state>
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 * 1024, alignment: 64)
    private var inputEnded = false
    private var done = false

    init(_ input: PeekedSource) {
        self.input = input
        state = .allocate(capacity: 1)
        isal_inflate_init(state)
        state.pointee.crc_flag = UInt32(ISAL_GZIP)
    }

    deinit {
        state.deallocate()
        buffer.deallocate()
    }

    func read(into output: UnsafeMutableRawBufferPointer) throws -> Int {
        guard !done else { return 0 }
        state.pointee.next_out = output.baseAddress!.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_out = UInt32(min(output.count, 1 << 30))
        let wanted = state.pointee.avail_out
        while state.pointee.avail_out == wanted, !done {
            if state.pointee.avail_in == 0 { try refill() }
            if state.pointee.block_state == ISAL_BLOCK_FINISH {
                try nextMember()
                continue
            }
            let code = isal_inflate(state)
            guard code >= 0 else { throw ArchiveError.corrupt(codec: "gzip", reason: Self.reason(code)) }
            // No progress and nothing more to feed: the stream was cut off.
            if state.pointee.avail_out == wanted, state.pointee.avail_in == 0, inputEnded, state.pointee.block_state != ISAL_BLOCK_FINISH {
                throw ArchiveError.truncated
            }
        }
        return Int(wanted - state.pointee.avail_out)
    }

    private func refill() throws {
        guard !inputEnded else { return }
        let count = try input.read(into: buffer)
        inputEnded = count == 0
        state.pointee.next_in = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
        state.pointee.avail_in = UInt32(count)
    }

    /// After a member: another one, zero padding (as gzip accepts), or the end.
    private func nextMember() throws {
        while state.pointee.avail_in > 0, state.pointee.next_in.pointee == 0 {
            state.pointee.next_in += 1
            state.pointee.avail_in -= 1
            if state.pointee.avail_in == 0 { try refill() }
        }
        if state.pointee.avail_in == 0 {
            done = true
            return
        }
        guard state.pointee.next_in.pointee == 0x1F else {
            throw ArchiveError.corrupt(codec: "gzip", reason: "there is something else after its end")
        }
        isal_inflate_reset(state)
    }

    private static func reason(_ code: Int32) -> String {
        switch code {
        case ISAL_INCORRECT_CHECKSUM: "its checksum is wrong"
        case ISAL_INVALID_WRAPPER, ISAL_UNSUPPORTED_METHOD: "its header is wrong"
        default: "its blocks make no sense"
        }
    }
}
