import CSeccomp
import Glibc

/// The system calls that reading images takes, over any C library of the last years. Whatever is not listed answers `ENOSYS`, as
/// on a kernel that doesn't have it, so that a library falls back to what is.
enum SystemCalls {
    private static let always = """
        access alarm arch_prctl brk capget capset chdir chmod chown clock_getres clock_gettime clock_nanosleep close close_range copy_file_range dup dup2 dup3 \
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 exit exit_group faccessat faccessat2 fadvise64 fallocate \
        fchdir fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fsetxattr fstat fstatfs fsync ftruncate futex \
        futex_waitv get_robust_list getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getpgrp getpid getppid getpriority getrandom \
        getresgid getresuid getrlimit getrusage getsid gettid gettimeofday getuid getxattr ioctl kill lchown lgetxattr link linkat listxattr llistxattr lseek \
        lsetxattr lstat madvise mbind membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mmap mprotect mremap mseal msync munlock munmap \
        nanosleep newfstatat open openat openat2 pause pipe pipe2 poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read \
        readahead readlink readlinkat readv rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
        rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam sched_getscheduler \
        sched_setaffinity sched_yield select sendfile set_robust_list set_tid_address setitimer setpriority setxattr sigaltstack signalfd signalfd4 splice \
        stat statfs statx symlink symlinkat sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_settime timerfd_create \
        timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vmsplice wait4 waitid write writev map_shadow_stack \
        chown32 lchown32 fchown32 fcntl64 fstat64 fstatat64 ftruncate64 getegid32 geteuid32 getgid32 getuid32 _llseek lstat64 mmap2 stat64 statfs64 fstatfs64 sendfile64
        """
    private static let network = """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg recv send sendmmsg sendmsg sendto setsockopt shutdown \
        socketpair socketcall
        """

    /// - Throws: ``SandboxError/systemCalls(code:)``
    static func restrict(network: Bool, programs: Bool) throws {
        guard let filter = seccomp_init(seccomp_act_errno(ENOSYS)) else { throw SandboxError.systemCalls(code: ENOMEM) }
        defer { seccomp_release(filter) }
        func check(_ code: Int32) throws { guard code == 0 else { throw SandboxError.systemCalls(code: -code) } }
        func number(_ name: Substring) -> Int32? {
            let number = seccomp_syscall_resolve_name(String(name))
            return number == __NR_SCMP_ERROR ? nil : number
        }
        for name in (always + (network ? " " + self.network : "") + (programs ? " execve" : "")).split(whereSeparator: \.isWhitespace) {
            // A call that this library doesn't know is one that this machine's programs can't make by it.
            guard let number = number(name) else { continue }
            try check(seccomp_add(filter, UInt32(SCMP_ACT_ALLOW), number))
        }
        if network, let socket = number("socket") {
            for family in [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] {
                try check(seccomp_add_equal(filter, UInt32(SCMP_ACT_ALLOW), socket, 0, UInt64(family)))
            }
        }
        // Threads, but no processes of another kind: clone3 hides its flags behind a pointer, and its callers fall back to clone.
        if let clone = number("clone") {
            let thread: UInt64 = 0x10000  // CLONE_THREAD
            try check(seccomp_add_masked(filter, UInt32(SCMP_ACT_ALLOW), clone, 0, thread, thread))
        }
        try check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1))
        try check(seccomp_load(filter))
    }
}
