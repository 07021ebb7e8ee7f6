import AppC
import Glibc
import Pod
import RuntimeBundle

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

extension SystemCallPolicy {
    /// A policy, call by call.
    public typealias Rules = RuntimeConfiguration.Seccomp

    static let allow = "SCMP_ACT_ALLOW"
    static let error = "SCMP_ACT_ERRNO"
    private static let kill = "SCMP_ACT_KILL_PROCESS"

    /// Whether calls that are newer than the lists here answer as an old kernel would.
    var answersNewer: Bool {
        switch self {
        case .standard, .only(_, _, newer: true): true
        default: false
        }
    }

    /// - Parameter capabilities: what the app may have, which decides what is usual.
    /// - Returns: nil where there is to be no filter.
    /// - Throws: ``IsolationError``
    func rules(_ capabilities: Capabilities) throws(IsolationError) -> Rules? {
        let granted = SystemCallSets.byCapability.filter { capabilities.isSuperset(of: $0.0) }.flatMap { SystemCallSets.words($0.1) }
        switch self {
        case .all: return nil
        case .standard:
            var rules = Rules(defaultAction: Self.error, defaultErrnoRet: UInt32(EPERM))
            rules.syscalls = [
                Rules.Rule(SystemCallSets.words(SystemCallSets.allowed) + granted, Self.allow),
                // Sockets to a hypervisor (AF_VSOCK) leave every namespace.
                Rules.Rule(["socket"], Self.allow, args: [Rules.Argument(0, .unequal, 40)]),
            ]
            // PER_LINUX, UNAME26, PER_LINUX32, both, and the question what it is.
            rules.syscalls += [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF].map { Rules.Rule(["personality"], Self.allow, args: [Rules.Argument(0, .equal, $0)]) }
            if capabilities.isSuperset(of: .named("CAP_SYS_ADMIN")) {
                rules.syscalls.append(Rules.Rule(["clone"], Self.allow))
            } else {
                // clone's flags can be looked at; clone3's can't, and its callers fall back.
                rules.syscalls += [Self.cloneInside, Rules.Rule(["clone3"], Self.error, errnoRet: UInt32(ENOSYS))]
            }
            return rules
        case .only(let names, let errno, _):
            var rules = try Self.rules(otherwise: errno)
            rules.syscalls = [Rules.Rule(SystemCallSets.words(SystemCallSets.lifeCycle) + (try Self.checked(names)), Self.allow)]
            return rules
        case .allBut(let names, let errno):
            let forbidden = try Self.rules(otherwise: errno)
            let always = SystemCallSets.words(SystemCallSets.alwaysForbidden).filter { !granted.contains($0) }
            var rules = Rules(defaultAction: Self.allow)
            rules.syscalls = [Rules.Rule(try Self.checked(names) + always, forbidden.defaultAction, errnoRet: forbidden.defaultErrnoRet)]
            return rules
        }
    }

    /// clone, where it makes no namespaces.
    private static let cloneInside = Rules.Rule(["clone"], allow, args: [Rules.Argument(SystemCallFilter.cloneFlags, .masked, 0x7E02_0000, 0)])

    private static func rules(otherwise errno: String?) throws(IsolationError) -> Rules {
        guard let errno else { return Rules(defaultAction: kill) }
        guard let code = ErrorNumber.named(errno) else { throw .unknownErrno(errno) }
        return Rules(defaultAction: error, defaultErrnoRet: UInt32(code))
    }

    /// A name that neither this machine nor a list knows is an error, and not one of newer kernels.
    private static func checked(_ names: [String]) throws(IsolationError) -> [String] {
        for name in names where !SystemCallFilter.isCall(name) && !SystemCallSets.isKnown(name) { throw .unknownCall(name) }
        return names
    }

    /// What an OCI runtime is told, which sets the filter some steps before the app's program runs, and so must be let make them.
    /// - Returns: the rules, nil where there is to be no filter, and whether they allow calls for the runtime's sake.
    /// - Throws: ``IsolationError``
    public func rulesForRuntime(_ capabilities: Capabilities) throws(IsolationError) -> (rules: Rules?, isWider: Bool) {
        guard var rules = try rules(capabilities) else { return (nil, false) }
        #if arch(x86_64)
            rules.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
        #elseif arch(arm64)
            rules.architectures = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
        #endif
        let needed = SystemCallSets.words(SystemCallSets.runtime)
        var isWider = false
        switch self {
        case .all, .standard: break
        case .only:
            let missing = needed.filter { !rules.syscalls[0].names.contains($0) }
            isWider = !missing.isEmpty
            rules.syscalls[0].names += missing
            if !rules.syscalls[0].names.contains("clone") { rules.syscalls.append(Self.cloneInside) }
        case .allBut:
            let names = rules.syscalls[0].names.filter { !needed.contains($0) }
            isWider = names.count < rules.syscalls[0].names.count
            rules.syscalls[0].names = names
        }
        return (rules, isWider)
    }
}
