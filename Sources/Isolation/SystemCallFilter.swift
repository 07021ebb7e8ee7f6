import CSeccomp
import Files
import Glibc
import Pod

/// A filter of system calls as the kernel runs it: a program of `struct sock_filter` (seccomp(2)).
public enum SystemCallFilter {
    /// - Parameters:
    ///   - capabilities: what the app may have, which decides what is usual.
    ///   - cache: a directory of ours where compiled filters are kept, since compiling takes some milliseconds.
    /// - Returns: nil where there is to be no filter.
    /// - Throws: ``IsolationError``
    public static func program(_ policy: SystemCallPolicy, capabilities: Capabilities, cache: Directory? = nil) throws -> [UInt8]? {
        if policy == .all { return nil }
        guard policy == .standard, let cache else { return try compile(policy, capabilities) }
        let key = key(capabilities)
        let name = "filters/\(String(capabilities.rawValue, radix: 16))"
        if let kept = kept(name, key, in: cache) { return kept }
        let program = try compile(policy, capabilities)
        // What can't be kept is made anew the next time.
        if let directory = try? cache.make("filters", mode: 0o700) {
            try? directory.write(Array(key.utf8) + program, atomicallyTo: String(capabilities.rawValue, radix: 16), mode: 0o600)
        }
        return program
    }

    /// What a kept filter depends on. It stands before the filter, so that no other file passes for this one.
    private static func key(_ capabilities: Capabilities) -> String {
        let version = seccomp_version().pointee
        // The lists of calls may differ in another version of this program (FNV-1a: it guards against no one).
        let lists = ([SystemCallSets.allowed] + SystemCallSets.byCapability.map(\.1)).joined(separator: "\n")
        let sum = lists.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "d2a filter 1, libseccomp \(version.major).\(version.minor).\(version.micro), \(seccomp_arch_native()), \(capabilities.rawValue), \(sum)\n"
    }

    /// A kept filter, where only we can have written it.
    private static func kept(_ name: String, _ key: String, in cache: Directory) -> [UInt8]? {
        guard let file = try? cache.file(name), let status = try? file.status(), status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(),
            status.st_mode & 0o022 == 0, let bytes = try? file.readAll(limit: 1 << 20)
        else { return nil }
        let program = bytes.dropFirst(key.utf8.count)
        guard bytes.starts(with: key.utf8), !program.isEmpty, program.count % MemoryLayout<sock_filter>.size == 0 else { return nil }
        return Array(program)
    }

    // MARK: Compiling

    private static func compile(_ policy: SystemCallPolicy, _ capabilities: Capabilities) throws -> [UInt8] {
        guard let rules = try policy.rules(capabilities) else { return [] }
        let builder = try Builder(otherwise: action(rules.defaultAction, rules.defaultErrnoRet))
        for rule in rules.syscalls {
            for name in rule.names { try builder.add(action(rule.action, rule.errnoRet), name, rule.args ?? []) }
        }
        return try policy.answersNewer ? Builder.answeringNewer(builder.export()) : builder.export()
    }

    private static func action(_ name: String, _ errno: UInt32?) -> UInt32 {
        switch name {
        case SystemCallPolicy.allow: UInt32(SCMP_ACT_ALLOW)
        case SystemCallPolicy.error: seccomp_act_errno(Int32(errno ?? UInt32(EPERM)))
        default: UInt32(SCMP_ACT_KILL_PROCESS)
        }
    }

    /// Whether this machine has a call of this name.
    static func isCall(_ name: String) -> Bool { seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR }

    /// Which argument of clone has its flags.
    static var cloneFlags: UInt32 { seccomp_clone_flags_argument() }
}

extension SystemCallFilter {
    /// libseccomp's filter while it is put together, for this machine's architecture and the smaller ones it can run.
    private final class Builder {
        private let context: scmp_filter_ctx
        private let otherwise: UInt32

        init(otherwise: UInt32) throws(IsolationError) {
            guard let context = seccomp_init(otherwise) else { throw .filter(code: ENOMEM) }
            (self.context, self.otherwise) = (context, otherwise)
            try check(seccomp_add_smaller_architectures(context))
            // A tree of comparisons in place of a list.
            try check(seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        }

        deinit { seccomp_release(context) }

        private func check(_ code: Int32) throws(IsolationError) {
            guard code == 0 || code == -EEXIST else { throw .filter(code: -code) }
        }

        /// What this machine doesn't have is left out: lists name calls of all.
        func add(_ action: UInt32, _ name: String, _ conditions: [SystemCallPolicy.Rules.Argument]) throws(IsolationError) {
            let number = seccomp_syscall_resolve_name(name)
            guard number != __NR_SCMP_ERROR, action != otherwise else { return }
            guard let condition = conditions.first else { return try check(seccomp_add(context, action, number)) }
            switch condition.op {
            case .equal: try check(seccomp_add_equal(context, action, number, condition.index, condition.value))
            case .unequal: try check(seccomp_add_unequal(context, action, number, condition.index, condition.value))
            case .masked: try check(seccomp_add_masked(context, action, number, condition.index, condition.value, condition.valueTwo ?? 0))
            }
        }

        func export() throws -> [UInt8] {
            let file = try OpenFile.inMemory("filter")
            try check(seccomp_export_bpf(context, file.descriptor))
            try file.seek(to: 0)
            return try file.readAll(limit: 1 << 20)
        }

        /// Puts before a filter: calls beyond all that libseccomp knows answer `ENOSYS`, so that programs for newer kernels fall back.
        static func answeringNewer(_ program: [UInt8]) throws -> [UInt8] {
            let native = seccomp_arch_native()
            guard
                let newest = (300..<2000).last(where: { number in
                    guard let name = seccomp_syscall_resolve_num_arch(native, Int32(number)) else { return false }
                    free(name)
                    return true
                })
            else { return program }
            var prefix: [sock_filter] = []
            func instruction(_ code: UInt16, _ value: UInt32, _ yes: UInt8 = 0, _ no: UInt8 = 0) {
                prefix.append(sock_filter(code: code, jt: yes, jf: no, k: value))
            }
            let (load, equal, greater, answer): (UInt16, UInt16, UInt16, UInt16) = (0x20, 0x15, 0x25, 0x06)
            // Another architecture than the native one, or x32, whose numbers have bit 30, goes on to the filter.
            instruction(load, 4)
            instruction(equal, native, 0, 4)
            instruction(load, 0)
            instruction(greater, 0x3FFF_FFFF, 2, 0)
            instruction(greater, UInt32(newest), 0, 1)
            instruction(answer, 0x0005_0000 | UInt32(ENOSYS))
            return prefix.withUnsafeBytes { Array($0) } + program
        }
    }
}

/// Error numbers by their names.
enum ErrorNumber {
    /// The kernel's names in the order of its generic numbers (`asm-generic/errno-base.h`, `errno.h`); `-` where there is none.
    private static let names = """
        EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL \
        ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG \
        EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR \
        ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN \
        ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP \
        EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN \
        ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM \
        EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON
        """.split(separator: " ").map(String.init)
    private static let others = ["EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK", "ENOTSUP": "EOPNOTSUPP"]

    static func named(_ name: String) -> Int32? {
        guard name != "-" else { return nil }
        return names.firstIndex(of: others[name] ?? name).map { Int32($0 + 1) }
    }
}
