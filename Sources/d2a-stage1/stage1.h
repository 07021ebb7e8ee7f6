/* d2a-stage1: makes a pod's namespaces and roots, starts its apps, and records how they end.
 *
 * It is C because it stands between fork and exec, and because it is the pod's first process: small enough to be there
 * for every pod. It decides nothing: d2a writes a plan of steps, and this program does them in order.
 *
 * Processes, each the parent of the next:
 *   keeper  outside the pod: passes signals on, writes what happens into the pod's directory (keeper.c)
 *   init    process 1 of the pod: does the pod's steps, then reaps (init.c)
 *   apps    each does the steps of its section in a mount namespace of its own (root.c), and becomes the image's program (app.c)
 * If one dies, all below it die. */
#ifndef D2A_STAGE1_H
#define D2A_STAGE1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Descriptors that d2a hands over; those that steps name follow. */
enum {
    DATA_FD = 3,   /* d2a's data directory, in which pods and rendered trees lie */
    REPORT_FD = 4, /* socket to d2a: failures, and the terminal */
    PLAN_FD = 5,   /* the plan */
    LOCK_FD = 6,   /* the pod's directory, locked for as long as the keeper lives */
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
/* A number of bytes, and that many bytes, as a plan of their own. */
struct plan plan_section(struct plan *plan);

/* Tells d2a what failed, with errno, and ends this process. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail_as(const char *kind, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
void report_terminal(int master);

int keeper(struct plan *plan, pid_t parent);

/* What the keeper hands to init. */
struct channels {
    int events; /* socket to the keeper: what becomes of each app */
    int ready;  /* closed when every app runs */
};
_Noreturn void init(struct plan *plan, struct channels channels);

/* How init and an app wait for one another. */
struct rendezvous {
    int ready; /* the app writes a struct app_report when its root is made */
    int go;    /* ends when all apps have */
    int end;   /* ends when the app has, for its post-stop handler */
};
struct app_report {
    pid_t post_stop; /* the process that waits to become the post-stop handler, or 0 */
};
/* Does an app's section and becomes its program. */
_Noreturn void app(const char *name, struct plan section, struct rendezvous rendezvous, struct channels channels);

/* Does one step of a root's; false where it is not one. */
bool root_step(const char *step, struct plan *plan);
int new_terminal(uid_t owner, unsigned *number);
/* One that is /dev/console too. */
int root_terminal(uid_t owner);
/* Enters the user namespace that the step `users` named, if one did and this process isn't there: with all rights in there, and none
 * outside. */
void enter_users(void);
/* Makes a user namespace and holds it until descriptor 3, a socket, is closed at its other end. */
int hold_users(void);
/* Moves this process from the host's files to an empty root. */
void leave_host(void);

/* Runs a program in a pod that runs, by a plan of its own. */
int enter(struct plan *plan);

void join_cgroup(int procs);
void set_capabilities(uint64_t permitted, uint64_t inheritable);
uint64_t own_capabilities(void);
/* The report goes on, by a descriptor that is in nobody's way. */
void move_report(void);
void remove_tree(int parent, const char *name);
void name_process(const char *name);

#endif
