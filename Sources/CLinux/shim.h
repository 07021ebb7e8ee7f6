/* System calls that Swift can't call because C declares them variadic, or has no function for them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* This process dies when the thread that started it ends. */
/* Gets a signal when the thread that started this process ends. */
static inline int system_signal_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }
static inline int system_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

static inline int system_dies_with_parent(void) {
    int number = 0;
    return prctl(PR_GET_PDEATHSIG, &number, 0, 0, 0) == 0 && number == SIGKILL;
}

static inline int system_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

/* Keeps the capabilities of the mask in the permitted, effective and bounding sets, and no others anywhere. */
static inline int system_keep_capabilities(uint64_t mask) {
    for (int capability = 0; capability < 64; capability++)
        if (!(mask >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno == EPERM) return -1;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)mask, (uint32_t)mask, 0}, {(uint32_t)(mask >> 32), (uint32_t)(mask >> 32), 0}};
    return (int)syscall(SYS_capset, &header, data);
}

/* Opens a path as if the directory were the root: no link leads out of it. */
static inline int system_open_inside(int directory, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)flags | 02000000 /* CLOEXEC */, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* A file that lives in memory; sealed, nobody can change it any more. Values from linux/memfd.h and linux/fcntl.h. */
static inline int system_memory_file(const char *name) { return (int)syscall(SYS_memfd_create, name, 1 /* CLOEXEC */ | 2 /* ALLOW_SEALING */); }
static inline int system_seal(int descriptor) { return (int)syscall(SYS_fcntl, descriptor, 1033 /* F_ADD_SEALS */, 15 /* SEAL, SHRINK, GROW, WRITE */); }

/* A read-only overlay, mounted nowhere, through which nothing in its layers can be written (fsopen(2), fsmount(2)). Older kernels want
 * two of them.
 * layers: the upper one first, with colons. ours: made in a user namespace. */
static inline int system_read_only_overlay(const char *layers, int ours) {
    int context = (int)syscall(430 /* fsopen */, "overlay", 1 /* CLOEXEC */);
    if (context < 0) return -1;
    int view = -1;
    if (syscall(431 /* fsconfig */, context, 1 /* SET_STRING */, "lowerdir", layers, 0) == 0 &&
        (!ours || syscall(431, context, 0 /* SET_FLAG */, "userxattr", 0, 0) == 0) && syscall(431, context, 6 /* CMD_CREATE */, 0, 0, 0) == 0)
        view = (int)syscall(432 /* fsmount */, context, 1 /* CLOEXEC */, 1 | 2 | 4 /* RDONLY, NOSUID, NODEV */);
    close(context);
    return view;
}

/* Gives one terminal the size of another. */
static inline int system_copy_window_size(int from, int to) {
    struct winsize size;
    return ioctl(from, TIOCGWINSZ, &size) == 0 ? ioctl(to, TIOCSWINSZ, &size) : -1;
}

/* A new terminal: our side and the program's. Both are closed in programs that are started. */
static inline int system_new_terminal(int ends[2]) {
    int unlock = 0;
    ends[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends[0] < 0) return -1;
    if (ioctl(ends[0], TIOCSPTLCK, &unlock) == 0 && (ends[1] = ioctl(ends[0], 0x5441 /* TIOCGPTPEER */, O_RDWR | O_NOCTTY | O_CLOEXEC)) >= 0) return 0;
    close(ends[0]);
    return -1;
}

/* Pipes and connections that no program inherits which another thread starts just now. */
static inline int system_pipe(int ends[2]) { return (int)syscall(SYS_pipe2, ends, O_CLOEXEC); }
static inline int system_accept(int listener) { return (int)syscall(SYS_accept4, listener, 0, 0, O_CLOEXEC); }

/* Makes everything written to the file system of the descriptor durable. */
static inline int system_sync_filesystem(int descriptor) { return (int)syscall(SYS_syncfs, descriptor); }

/* The two halves of a device's number (sys/sysmacros.h). */
static inline uint32_t system_major(uint64_t device) { return (uint32_t)((device >> 8 & 0xfff) | (device >> 32 & ~0xfffull)); }
static inline uint32_t system_minor(uint64_t device) { return (uint32_t)((device & 0xff) | (device >> 12 & ~0xffull)); }

/* Landlock (linux/landlock.h), whose header on older systems lacks what newer kernels have. */
static inline int landlock_version(void) { return (int)syscall(444, (void *)0, (size_t)0, 1u /* VERSION */); }
/* Rules that forbid all of these rights but what is allowed; with `closed`, also TCP, and abstract sockets and signals to the outside. */
static inline int landlock_rules(int version, uint64_t rights, int closed) {
    struct {
        uint64_t files, network, scope;
    } rules = {rights, version >= 4 ? (closed ? 3 : 1 /* BIND_TCP */) : 0, version >= 6 ? (closed ? 3 : 2 /* SIGNAL */) : 0};
    return (int)syscall(444, &rules, version >= 6 ? sizeof rules : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t), 0u);
}
static inline int landlock_allow(int rules, int descriptor, uint64_t rights) {
    struct {
        uint64_t rights;
        int32_t parent;
    } __attribute__((packed)) rule = {rights, descriptor};
    return (int)syscall(445, rules, 1 /* PATH_BENEATH */, &rule, 0u);
}
static inline int landlock_enter(int rules) { return (int)syscall(446, rules, 0u); }

/* One message over a local socket, and up to four descriptors with it. Reception fills what is left of the four with -1. */
union system_descriptors {
    char bytes[CMSG_SPACE(4 * sizeof(int))];
    struct cmsghdr align;
};
static inline ssize_t system_send_descriptors(int socket, const void *buffer, size_t count, const int *descriptors, size_t descriptor_count) {
    union system_descriptors control = {{0}};
    struct iovec data = {(void *)buffer, count};
    struct msghdr message = {0};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, descriptor_count * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}
static inline ssize_t system_receive_descriptors(int socket, void *buffer, size_t count, int *descriptors) {
    union system_descriptors control;
    struct iovec data = {buffer, count};
    struct msghdr message = {0};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    memset(descriptors, -1, 4 * sizeof(int));
    ssize_t received = recvmsg(socket, &message, 0x40000000 /* MSG_CMSG_CLOEXEC */);
    struct cmsghdr *header = received >= 0 ? CMSG_FIRSTHDR(&message) : 0;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) memcpy(descriptors, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    return received;
}

/* Moves this thread to another network namespace. */
static inline int system_enter_network(int descriptor) { return (int)syscall(SYS_setns, descriptor, 0x40000000 /* CLONE_NEWNET */); }

/* Closes every descriptor from a number on. */
static inline int system_close_from(unsigned first) { return (int)syscall(SYS_close_range, first, ~0u, 0u); }

/* Copies extended attributes from one open file to another; those that the other file system doesn't know are left out. */
static inline void system_copy_attributes(int from, int to) {
    char names[4096], value[4096];
    ssize_t count = flistxattr(from, names, sizeof names);
    for (ssize_t place = 0; place < count; place += (ssize_t)strlen(names + place) + 1) {
        ssize_t size = fgetxattr(from, names + place, value, sizeof value);
        if (size >= 0) fsetxattr(to, names + place, value, (size_t)size, 0);
    }
}

/* Copies bytes from one file's position to another's, without reading them where the file system can. */
static inline ssize_t system_copy_range(int from, int to, size_t count) { return syscall(SYS_copy_file_range, from, 0, to, 0, count, 0); }

/* A descriptor of a process, which names no other when its number is used again. */
static inline int system_open_process(int process) { return (int)syscall(SYS_pidfd_open, process, 0); }

/* Moves this thread to a new network namespace, with loopback. */
static inline int system_make_network(void) {
    if (syscall(SYS_unshare, 0x40000000 /* CLONE_NEWNET */) != 0) return -1;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int result = ioctl(control, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    if (result == 0) result = ioctl(control, SIOCSIFFLAGS, &request);
    if (control >= 0) close(control);
    return result;
}
/* Moves this thread to a mount namespace of its own, from which nothing reaches the other. */
static inline int system_own_mounts(void) {
    if (syscall(SYS_unshare, 0x20000 /* CLONE_NEWNS */) != 0) return -1;
    return mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
}
static inline int system_mount_overlay(const char *target, const char *layers) { return mount("overlay", target, "overlay", 0, layers); }
/* Processes below this one whose parents end become its children. */
static inline int system_adopt_orphans(int adopt) { return prctl(PR_SET_CHILD_SUBREAPER, adopt, 0, 0, 0); }
static inline int system_bind(const char *source, const char *target) { return mount(source, target, 0, MS_BIND, 0); }
static inline int system_unmount(const char *target) { return umount2(target, MNT_DETACH); }

/* Moves this process, which must have no other thread, into a user namespace of its own: there it has all rights. */
static inline int system_new_mount_namespace(void) { return (int)syscall(SYS_unshare, 0x00020000 /* CLONE_NEWNS */); }
static inline int system_new_user_namespace(void) { return (int)syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */); }

/* The capabilities that this process has, as a mask. */
static inline uint64_t system_own_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};
    return syscall(SYS_capget, &header, data) == 0 ? data[0].permitted | (uint64_t)data[1].permitted << 32 : 0;
}
