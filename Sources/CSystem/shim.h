/* System calls that Swift can't call because C declares them variadic, or has no function for them. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* This process dies when the thread that started it ends. */
static inline int system_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

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

/* Makes everything written to the file system of the descriptor durable. */
static inline int system_sync_filesystem(int descriptor) { return (int)syscall(SYS_syncfs, descriptor); }
