import Diagnostics
import Glibc

/// Numbers as people read them, in tables.
enum Human {
    static func size(_ bytes: Int) -> String { readableSize(bytes) }

    /// Local time, to the second.
    static func time(_ seconds: Int) -> String {
        var moment = time_t(seconds)
        var parts = tm()
        localtime_r(&moment, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
