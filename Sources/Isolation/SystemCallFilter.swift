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
        switch policy {
        case .all: return []
        case .standard:
            let builder = try Builder(otherwise: seccomp_act_errno(EPERM))
            try builder.allowUsual(capabilities)
            return try Builder.answeringNewer(builder.export())
        case .only(let names, let errno, let newer):
            let builder = try Builder(otherwise: try action(errno))
            for name in SystemCallSets.words(SystemCallSets.lifeCycle) { try builder.add(allow, name) }
            for name in names { try builder.add(allow, name, mustExist: true) }
            return try newer ? Builder.answeringNewer(builder.export()) : builder.export()
        case .allBut(let names, let errno):
            let builder = try Builder(otherwise: allow)
            let action = try action(errno)
            for name in names { try builder.add(action, name, mustExist: true) }
            let granted = Set(SystemCallSets.byCapability.filter { capabilities.isSuperset(of: $0.0) }.flatMap { SystemCallSets.words($0.1) })
            for name in SystemCallSets.words(SystemCallSets.alwaysForbidden) where !granted.contains(name) { try builder.add(action, name) }
            return try builder.export()
        }
    }

    private static let allow = UInt32(SCMP_ACT_ALLOW)

    private static func action(_ errno: String?) throws(IsolationError) -> UInt32 {
        guard let errno else { return UInt32(SCMP_ACT_KILL_PROCESS) }
        guard let code = ErrorNumber.named(errno) else { throw .unknownErrno(errno) }
        return seccomp_act_errno(code)
    }
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

        private func number(_ name: String) -> Int32? {
            let number = seccomp_syscall_resolve_name(name)
            return number == __NR_SCMP_ERROR ? nil : number
        }

        /// - Parameter mustExist: whether a name that is none is an error, and not one of newer kernels.
        func add(_ action: UInt32, _ name: String, mustExist: Bool = false) throws(IsolationError) {
            guard let number = number(name) else {
                if mustExist, !SystemCallSets.isKnown(name) { throw .unknownCall(name) }
                return
            }
            if action != otherwise { try check(seccomp_add(context, action, number)) }
        }

        func allowUsual(_ capabilities: Capabilities) throws(IsolationError) {
            for name in SystemCallSets.words(SystemCallSets.allowed) { try add(allow, name) }
            for (needed, names) in SystemCallSets.byCapability where capabilities.isSuperset(of: needed) {
                for name in SystemCallSets.words(names) { try add(allow, name) }
            }
            if let personality = number("personality") {
                // PER_LINUX, UNAME26, PER_LINUX32, both, and the question what it is.
                for value in [0, 8, 0x20000, 0x20008, 0xFFFF_FFFF] as [UInt64] { try check(seccomp_add_equal(context, allow, personality, 0, value)) }
            }
            // Sockets to a hypervisor (AF_VSOCK) leave every namespace.
            if let socket = number("socket") { try check(seccomp_add_unequal(context, allow, socket, 0, 40)) }
            guard !capabilities.isSuperset(of: .named("CAP_SYS_ADMIN")) else { return try add(allow, "clone") }
            // No new namespaces: clone's flags can be looked at; clone3's can't, and its callers fall back.
            let namespaces: UInt64 = 0x7E02_0000
            if let clone = number("clone") { try check(seccomp_add_masked(context, allow, clone, seccomp_clone_flags_argument(), namespaces, 0)) }
            try add(seccomp_act_errno(ENOSYS), "clone3")
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
