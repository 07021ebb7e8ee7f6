#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>

/* SCMP_ACT_ERRNO is a macro with an argument, which Swift can't read. */
static inline uint32_t seccomp_act_errno(int code) { return SCMP_ACT_ERRNO(code); }
/* seccomp_rule_add is variadic: no condition, or one on an argument. */
static inline int seccomp_add(scmp_filter_ctx context, uint32_t action, int call) { return seccomp_rule_add(context, action, call, 0); }
static inline int seccomp_add_equal(scmp_filter_ctx context, uint32_t action, int call, unsigned argument, uint64_t value) {
    struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
    return seccomp_rule_add_array(context, action, call, 1, &condition);
}
static inline int seccomp_add_unequal(scmp_filter_ctx context, uint32_t action, int call, unsigned argument, uint64_t value) {
    struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_NE, .datum_a = value};
    return seccomp_rule_add_array(context, action, call, 1, &condition);
}
/* (argument & mask) == value */
static inline int seccomp_add_masked(scmp_filter_ctx context, uint32_t action, int call, unsigned argument, uint64_t mask, uint64_t value) {
    struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    return seccomp_rule_add_array(context, action, call, 1, &condition);
}
/* Architectures, macros that Swift can't read: the native one's smaller ones, and whether clone's flags come second there. */
static inline int seccomp_add_smaller_architectures(scmp_filter_ctx context) {
    switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64: {
        int code = seccomp_arch_add(context, SCMP_ARCH_X86);
        return code != 0 ? code : seccomp_arch_add(context, SCMP_ARCH_X32);
    }
    case SCMP_ARCH_AARCH64: return seccomp_arch_add(context, SCMP_ARCH_ARM);
    case SCMP_ARCH_S390X: return seccomp_arch_add(context, SCMP_ARCH_S390);
    default: return 0;
    }
}
static inline unsigned seccomp_clone_flags_argument(void) { return seccomp_arch_native() == SCMP_ARCH_S390X; }
