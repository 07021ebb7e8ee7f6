#include <errno.h>
#include <seccomp.h>

/* SCMP_ACT_ERRNO is a macro with an argument, which Swift can't read. */
static inline uint32_t seccomp_act_errno(int code) { return SCMP_ACT_ERRNO(code); }
/* seccomp_rule_add is variadic: no condition, or one on an argument. */
static inline int seccomp_add(scmp_filter_ctx context, uint32_t action, int call) { return seccomp_rule_add(context, action, call, 0); }
static inline int seccomp_add_equal(scmp_filter_ctx context, uint32_t action, int call, unsigned argument, uint64_t value) {
    struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
    return seccomp_rule_add_array(context, action, call, 1, &condition);
}
/* (argument & mask) == value */
static inline int seccomp_add_masked(scmp_filter_ctx context, uint32_t action, int call, unsigned argument, uint64_t mask, uint64_t value) {
    struct scmp_arg_cmp condition = {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    return seccomp_rule_add_array(context, action, call, 1, &condition);
}
