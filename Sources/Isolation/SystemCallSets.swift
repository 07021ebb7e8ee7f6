import Pod

/// Sets of system calls by name (the kernel's; those of one architecture only are left out elsewhere).
enum SystemCallSets {
    /// What an app may call where nothing else is said: what Docker and containerd allow today, so without `clone`, `personality` and
    /// `socket`, which depend on arguments, and ``byCapability``. Calls of io_uring are not among them.
    static let allowed = """
        accept accept4 access adjtimex alarm arch_prctl arm_fadvise64_64 arm_sync_file_range bind breakpoint brk cacheflush cachestat capget capset \
        chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
        clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
        epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 \
        fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr \
        flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 \
        futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid \
        geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
        getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat \
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup \
        io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr \
        link linkat listen listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier \
        memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify \
        mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync \
        munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe \
        pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv \
        process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg \
        recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_flush_icache \
        riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait \
        rt_sigtimedwait_time64 rt_tgsigqueueinfo s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr sched_get_priority_max \
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 \
        sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop \
        semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address set_tls setfsgid \
        setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 \
        setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown \
        sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statx swapcontext symlink \
        symlinkat sync sync_file_range sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime \
        timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill \
        truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid \
        waitpid write writev
        """

    /// What whoever has a capability may call too.
    static let byCapability: [(Capabilities, String)] = [
        (.named("CAP_DAC_READ_SEARCH"), "open_by_handle_at"),
        (
            .named("CAP_SYS_ADMIN"),
            """
            bpf clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree perf_event_open quotactl \
            quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare
            """
        ),
        (.named("CAP_SYS_BOOT"), "reboot"),
        (.sysChroot, "chroot"),
        (.named("CAP_SYS_MODULE"), "delete_module init_module finit_module"),
        (.named("CAP_SYS_PACCT"), "acct"),
        (.named("CAP_SYS_PTRACE"), "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
        (.named("CAP_SYS_RAWIO"), "iopl ioperm"),
        (.named("CAP_SYS_TIME"), "settimeofday stime clock_settime clock_settime64"),
        (.named("CAP_SYS_TTY_CONFIG"), "vhangup"),
        (.named("CAP_SYS_NICE"), "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        (.named("CAP_SYSLOG"), "syslog"),
        (.named("CAP_BPF"), "bpf"),
        (.named("CAP_PERFMON"), "perf_event_open"),
    ]

    /// What rkt and Docker called their blacklist.
    static let blacklist = """
        acct add_key adjtimex bpf clock_adjtime clock_settime create_module delete_module finit_module get_kernel_syms get_mempolicy init_module ioperm \
        iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount move_pages name_to_handle_at nfsservctl open_by_handle_at \
        perf_event_open pivot_root process_vm_readv process_vm_writev ptrace query_module quotactl reboot request_key set_mempolicy setns settimeofday \
        stime swapoff swapon _sysctl sysfs umount umount2 unshare uselib userfaultfd ustat vm86 vm86old
        """

    /// What is added to a set of forbidden calls: the machine as a whole is not an app's to change.
    static let alwaysForbidden = "delete_module finit_module init_module kexec_file_load kexec_load reboot swapoff swapon"

    /// What an app's start and its end need, whatever else it may call.
    static let lifeCycle = "execve exit exit_group rt_sigprocmask rt_sigreturn sigreturn"

    /// What runc 1.1 and crun 1.8 call between setting a filter and the app's program, as strace(1) shows it, and what the Go runtime may
    /// call at any moment; `clone` beside it.
    static let runtime = """
        brk capget capset chdir clock_gettime clock_nanosleep close epoll_ctl epoll_pwait epoll_wait execve exit exit_group faccessat faccessat2 fchown fcntl \
        fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getpid getppid getrandom gettid getuid madvise mmap mprotect munmap nanosleep \
        newfstatat openat prctl read readlinkat rt_sigaction rt_sigprocmask rt_sigreturn sched_yield seccomp set_robust_list setgid setgroups setresgid \
        setresuid setuid sigaltstack tgkill write
        """

    /// systemd's groups of the same names, by systemd.exec(5).
    private static let systemd = [
        "clock": "adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime",
        "mount": "chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root umount umount2",
        "network-io": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto \
        setsockopt shutdown socket socketcall socketpair
        """,
        "obsolete": """
        _sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock mpx prof profil putpmsg query_module security \
        sgetmask ssetmask stime stty sysfs tuxcall ulimit uselib ustat vserver
        """,
        "privileged": """
        _sysctl acct adjtimex bpf capset chown chown32 chroot clock_adjtime clock_adjtime64 clock_settime clock_settime64 delete_module \
        fanotify_init fchown fchown32 fchownat finit_module init_module ioperm iopl kexec_file_load kexec_load lchown lchown32 nfsservctl open_by_handle_at \
        pciconfig_iobase pciconfig_read pciconfig_write pivot_root quotactl quotactl_fd reboot s390_pci_mmio_read s390_pci_mmio_write setdomainname \
        setfsuid setfsuid32 setgroups setgroups32 sethostname setresuid setresuid32 setreuid setreuid32 settimeofday setuid setuid32 stime swapoff swapon \
        vhangup
        """,
        "process": """
        capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl rt_sigqueueinfo rt_tgsigqueueinfo setns swapcontext tgkill times \
        tkill unshare vfork wait4 waitid waitpid
        """,
        "raw-io": "ioperm iopl pciconfig_iobase pciconfig_read pciconfig_write s390_pci_mmio_read s390_pci_mmio_write",
        "default-whitelist": "clock_getres clock_gettime clock_nanosleep execve exit exit_group getrandom getrlimit gettimeofday nanosleep pause prlimit64 "
            + "restart_syscall rt_sigreturn sigreturn time",
    ]

    static func words(_ text: String) -> [String] { text.split(whereSeparator: \.isWhitespace).map(String.init) }

    /// The calls of a wildcard; nil where there is none such. Those of `@appc.io` are not sets but decisions.
    static func wildcard(_ name: String) -> [String]? {
        switch name {
        case "@docker/default-whitelist", "@rkt/default-whitelist": words(allowed) + ["chroot", "clone", "personality", "socket"]
        case "@docker/default-blacklist", "@rkt/default-blacklist": words(blacklist)
        case let name where name.hasPrefix("@systemd/"): systemd[String(name.dropFirst(9))].map(words)
        default: nil
        }
    }

    /// Whether a call is in one of the lists: libseccomp, and the kernel, may be older than it.
    static func isKnown(_ name: String) -> Bool { known.contains(name) }

    private static let known = Set(words(allowed) + words(blacklist) + byCapability.flatMap { words($0.1) } + systemd.values.flatMap(words))
}

extension Capabilities {
    /// One that is known to be there.
    static func named(_ name: String) -> Self { Self(name: name)! }
}
