import AppC
import Pod

/// Which system calls an app may make (appc spec `ace.md#linux-isolators`).
public enum SystemCallPolicy: Sendable, Hashable {
    /// Today's usual filter: new calls are answered as an old kernel would, forbidden ones with `EPERM`.
    case standard
    /// No filter.
    case all
    /// These, and what life itself takes. The rest gets `errno`, or ends the app with SIGSYS where that is nil.
    /// - newer: whether calls that are newer than the lists here are answered as an old kernel would.
    case only([String], errno: String?, newer: Bool)
    /// All but these.
    case allBut([String], errno: String?)

    /// - Throws: ``IsolationError/unknownCall(_:)`` for a wildcard that isn't one.
    static func retaining(_ set: SystemCallSet) throws(IsolationError) -> Self {
        if set.names.contains("@appc.io/all") { return .all }
        let names = try expand(set.names.filter { $0 != "@appc.io/empty" })
        return .only(names, errno: set.errno, newer: set.names.contains { $0.hasSuffix("/default-whitelist") })
    }

    static func removing(_ set: SystemCallSet) throws(IsolationError) -> Self {
        if set.names.contains("@appc.io/empty") { return .standard }
        if set.names.contains("@appc.io/all") { return .only([], errno: set.errno, newer: false) }
        return .allBut(try expand(set.names), errno: set.errno)
    }

    private static func expand(_ names: [String]) throws(IsolationError) -> [String] {
        var result: [String] = []
        for name in names {
            if !name.hasPrefix("@") {
                result.append(name)
            } else if let calls = SystemCallSets.wildcard(name) {
                result += calls
            } else {
                throw .unknownCall(name)
            }
        }
        return result
    }
}
