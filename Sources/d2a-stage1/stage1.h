/* d2a-stage1: makes a pod's namespaces and root, starts its app, and cleans up behind it.
 *
 * It is C because it stands between fork and exec, and because it is the pod's first process: small enough to be there
 * for every pod. It decides nothing: d2a writes a plan of steps, and this program does them in order.
 *
 * Processes, each the parent of the next:
 *   keeper  outside the pod: passes signals on, waits, removes the pod's directory (keeper.c)
 *   init    process 1 of the pod: does the plan's steps, then reaps (init.c, root.c)
 *   app     what the image runs (app.c)
 * If one dies, all below it die, and the keeper, or the next d2a run, removes what is left on disk. */
#ifndef D2A_STAGE1_H
#define D2A_STAGE1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors that d2a hands over. */
enum {
    DATA_FD = 3,   /* d2a's data directory, in which pods and rendered trees lie */
    REPORT_FD = 4, /* socket to d2a: failures, and the terminal */
    PLAN_FD = 5,   /* the plan */
    LOCK_FD = 6,   /* the pod's directory, locked for as long as any of us lives */
};

enum { EXIT_SETUP = 254, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* The plan: words that each end with a zero byte. A step is its name and as many words as it takes. */
struct plan {
    char *next;
    char *end;
};
void plan_read(struct plan *plan, int fd);
/* The next word, or NULL at the end. */
char *plan_word(struct plan *plan);
/* The next word, which must be there. */
char *plan_need(struct plan *plan);
long long plan_number(struct plan *plan);
/* A number of words, and that many words, as a list that ends with NULL. */
char **plan_list(struct plan *plan);

/* What the app is to be; filled by the plan's last steps. */
struct app {
    char **arguments;
    char **environment;
    char *directory;
    char *path; /* where a program without a slash is looked for */
    uid_t user;
    gid_t group;
    gid_t *groups;
    size_t group_count;
    uint64_t capabilities;
    int terminal; /* the slave side, or -1 */
};

/* Tells d2a what failed, with errno, and ends this process. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail_as(const char *kind, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void report_terminal(int master);

int keeper(struct plan *plan, pid_t parent);
_Noreturn void init(struct plan *plan);
_Noreturn void app_exec(const struct app *app);
/* Does one step of the root's; false where it is not one. */
bool root_step(const char *step, struct plan *plan);
int root_terminal(uid_t owner);
void remove_tree(int parent, const char *name);
void name_process(const char *name);

#endif
