import Diagnostics
import Glibc

/// Numbers as people read them, in tables.
enum Human {
    static func size(_ bytes: Int) -> String { readableSize(bytes) }

    /// How long ago something was.
    static func ago(_ seconds: Int, now: Int = Glibc.time(nil)) -> String {
        let past = max(0, now - seconds)
        for (unit, length) in [("year", 31_536_000), ("month", 2_592_000), ("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)]
        where past >= length {
            let count = past / length
            return "\(count) \(unit)\(count == 1 ? "" : "s") ago"
        }
        return "now"
    }

    /// Local time, to the second.
    static func time(_ seconds: Int) -> String {
        var moment = time_t(seconds)
        var parts = tm()
        localtime_r(&moment, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
