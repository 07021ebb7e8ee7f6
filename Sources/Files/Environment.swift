import Glibc

/// A variable of this process's environment; nil where it isn't set or is empty.
public func environmentVariable(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }

/// The number of the user, and of the group, that owns nothing: root's helpers work as it.
public let nobody: uid_t = 65534
