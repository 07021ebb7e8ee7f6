/* An app: its steps, and the last ones before the image's own program runs. */
#define _GNU_SOURCE
#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYS_ADMIN (1ull << 21)

/* What the app is to be; filled by the steps of its section. */
struct app {
    char **arguments;
    char **environment;
    char *directory;
    char *path; /* where a program without a slash is looked for */
    char **pre_start;
    char **post_stop;
    uid_t user;
    gid_t group;
    gid_t *groups;
    size_t group_count;
    uint64_t bounding, inheritable, ambient;
    bool no_new_privileges;
    struct sock_fprog filter; /* of system calls; empty where there is none */
    char *labels[2][2]; /* a security module's file, and what is written to it */
    bool terminal;
    bool dies_with_init;
    int streams[3]; /* what standard input, output and error are to be; as they are where below 0 */
    int *sockets;   /* that it finds open from 3 on, by systemd's protocol */
    size_t socket_count;
    char *socket_names; /* with colons */
};

static void limit_bounding_set(uint64_t mask) {
    for (int capability = 0; capability < 64; capability++)
        if ((mask >> capability & 1) == 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
            fail("can't drop capability %d", capability);
}

void set_capabilities(uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        uint32_t mask = (uint32_t)(permitted >> 32 * half);
        data[half] = (struct __user_cap_data_struct){mask, mask, (uint32_t)(inheritable >> 32 * half)};
    }
    if (syscall(SYS_capset, &header, data) != 0) fail("can't limit the capabilities");
}

uint64_t own_capabilities(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) fail("can't look at the capabilities");
    return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* Becomes the app's user with the app's rights. Root keeps what the app may have; of others exec leaves what is ambient. */
static void become(const struct app *app, uid_t user, gid_t group) {
    enter_users();
    limit_bounding_set(app->bounding);
    /* A user namespace with one user may set no groups, and has none to lose. */
    bool has_others = app->group_count > 1 || (app->group_count == 1 && app->groups[0] != group);
    if (setgroups(app->group_count, app->groups) != 0 && (errno != EPERM || has_others)) fail("can't set the supplementary groups");
    if (setresgid(group, group, group) != 0) fail("can't become group %u", group);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) fail("can't keep the capabilities");
    if (setresuid(user, user, user) != 0) fail("can't become user %u", user);
    /* A filter can be set by whoever may administer the system, which the app may not: that right ends with the exec, for
     * which the bounding set decides. */
    uint64_t permitted = user == 0 ? app->bounding : app->ambient;
    set_capabilities(permitted | app->ambient | app->inheritable | (app->filter.len ? SYS_ADMIN : 0), app->inheritable | app->ambient);
    for (int capability = 0; capability < 64; capability++)
        if (app->ambient >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
            fail("can't give the app capability %d", capability);
    if (app->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("can't forbid new privileges");
    if (app->filter.len && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &app->filter) != 0) fail("can't filter the system calls");
}

static void take_terminal(int terminal) {
    if (ioctl(terminal, TIOCSCTTY, 0) != 0) fail("can't take the terminal");
    dup2(terminal, 0);
    dup2(terminal, 1);
    if (isatty(2)) dup2(terminal, 2);
}

/* Like execvpe, but by the app's PATH, and a file that is no program is not given to a shell. */
static void run(const struct app *app, char **arguments) {
    const char *program = arguments[0];
    if (strchr(program, '/') != NULL) {
        execve(program, arguments, app->environment);
        return;
    }
    int code = ENOENT;
    for (const char *part = app->path; part != NULL; part = strchr(part, ':') ? strchr(part, ':') + 1 : NULL) {
        char file[4096];
        int length = (int)strcspn(part, ":");
        /* An empty part means the working directory. */
        if (snprintf(file, sizeof file, "%.*s/%s", length ? length : 1, length ? part : ".", program) >= (int)sizeof file) continue;
        execve(file, arguments, app->environment);
        if (errno != ENOENT && errno != ENOTDIR) code = errno;
    }
    errno = code;
}

static void unblock_signals(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A socket that listens on all addresses of the pod. */
static int listening(const char *protocol, int port) {
    int type = strcmp(protocol, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int on = 1, off = 0;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in old = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
    bool is_new = fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0;
    /* A machine without IPv6. */
    if (!is_new) fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd >= 0 && type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, is_new ? (struct sockaddr *)&address : (struct sockaddr *)&old, is_new ? sizeof address : sizeof old) != 0 ||
        (type == SOCK_STREAM && listen(fd, SOMAXCONN) != 0))
        fail("can't listen on port %d (%s) for the app", port, protocol);
    return fd;
}

static void add_socket(struct app *app, int fd) {
    app->sockets = realloc(app->sockets, (app->socket_count + 1) * sizeof *app->sockets);
    if (app->sockets == NULL) fail("can't read the plan");
    /* Out of the way: numbers below are closed as ours. */
    app->sockets[app->socket_count] = fcntl(fd, F_DUPFD_CLOEXEC, 64);
    if (app->sockets[app->socket_count++] < 0) fail("can't hand over sockets");
    close(fd);
}

/* By systemd's protocol (sd_listen_fds(3), appc spec aci.md, socketActivated): descriptors from 3 on, and whose they are. */
static void hand_over_sockets(struct app *app) {
    size_t count = 0;
    while (app->environment[count] != NULL) count++;
    char **environment = calloc(count + 4, sizeof *environment);
    if (environment == NULL) fail("can't hand over sockets");
    memcpy(environment, app->environment, count * sizeof *environment);
    if (asprintf(&environment[count], "LISTEN_PID=%d", (int)getpid()) < 0 || asprintf(&environment[count + 1], "LISTEN_FDS=%zu", app->socket_count) < 0 ||
        asprintf(&environment[count + 2], "LISTEN_FDNAMES=%s", app->socket_names) < 0)
        fail("can't hand over sockets");
    app->environment = environment;
    move_report();
    for (size_t index = 0; index < app->socket_count; index++)
        if (dup2(app->sockets[index], 3 + (int)index) < 0) fail("can't hand over sockets");
}

/* What is written is for the next program of this process. Root does it: another user's files of a process that was root's are root's. */
static void set_labels(const struct app *app) {
    for (int index = 0; index < 2 && app->labels[index][0] != NULL; index++) {
        const char *word = app->labels[index][1];
        int fd = open(app->labels[index][0], O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, word, strlen(word)) < 0) fail("the security module refuses the app's label (%s)", word);
        close(fd);
    }
}

static _Noreturn void execute(const struct app *app, char **arguments, uid_t user, gid_t group) {
    set_labels(app);
    become(app, user, group);
    /* Where the kernel doesn't end a pod with its process 1, this does. */
    if (app->dies_with_init) prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    unblock_signals();
    run(app, arguments);
    bool missing = errno == ENOENT || errno == ENOTDIR;
    fail_as("exec", missing ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, "%s", arguments[0]);
}

/* Runs the handler that comes before the app, as root, and waits for it. */
static void pre_start(const struct app *app) {
    pid_t child = fork();
    if (child < 0) fail("can't start a process");
    if (child == 0) execute(app, app->pre_start, 0, 0);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    errno = 0;
    if (status != 0) fail("the pre-start handler %s failed", app->pre_start[0]);
}

/* Makes a process that becomes the handler after the app when the app has ended. It is a child of process 1, as the app is,
 * which must not find a child that it doesn't know. */
static pid_t post_stop(const struct app *app, int end) {
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) fail("can't start a process");
    if (pid > 0) return pid;
    enter_users();
    /* Other apps' ends must not stay open here. */
    if (dup3(end, 3, O_CLOEXEC) < 0 && errno != EINVAL) _exit(EXIT_SETUP);
    if (syscall(SYS_close_range, 4, ~0U, 0) != 0) _exit(EXIT_SETUP);
    char byte;
    while (read(3, &byte, 1) < 0 && errno == EINTR) continue;
    execute(app, app->post_stop, 0, 0);
}

static void set_streams(const struct app *app) {
    for (int fd = 0; fd < 3; fd++)
        if (app->streams[fd] >= 0 && dup2(app->streams[fd], fd) < 0) fail("can't set the app's input and output");
}

static void read_filter(struct app *app, int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) fail("can't read the filter of system calls");
    struct sock_filter *program = malloc((size_t)status.st_size + 1);
    if (program == NULL || pread(fd, program, (size_t)status.st_size, 0) != status.st_size) fail("can't read the filter of system calls");
    app->filter = (struct sock_fprog){(unsigned short)((size_t)status.st_size / sizeof *program), program};
}

static void read_user(struct app *app, struct plan *plan) {
    app->user = (uid_t)plan_number(plan);
    app->group = (gid_t)plan_number(plan);
    char **words = plan_list(plan);
    while (words[app->group_count] != NULL) app->group_count++;
    app->groups = calloc(app->group_count + 1, sizeof *app->groups);
    if (app->groups == NULL) fail("can't read the plan");
    for (size_t index = 0; index < app->group_count; index++) app->groups[index] = (gid_t)strtoul(words[index], NULL, 10);
}

static void set_oom_score(const char *score) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, score, strlen(score)) < 0) fail("can't set the app's oom-score-adj to %s", score);
    close(fd);
}

static bool app_step(const char *step, struct plan *plan, struct app *app) {
    if (strcmp(step, "cgroup") == 0) {
        join_cgroup((int)plan_number(plan));
    } else if (strcmp(step, "cgroup-namespace") == 0) {
        if (unshare(CLONE_NEWCGROUP) != 0) fail("can't make a namespace of control groups");
    } else if (strcmp(step, "oom-score-adj") == 0) {
        set_oom_score(plan_need(plan));
    } else if (strcmp(step, "exec") == 0) {
        app->arguments = plan_list(plan);
    } else if (strcmp(step, "pre-start") == 0) {
        app->pre_start = plan_list(plan);
    } else if (strcmp(step, "post-stop") == 0) {
        app->post_stop = plan_list(plan);
    } else if (strcmp(step, "environment") == 0) {
        app->environment = plan_list(plan);
    } else if (strcmp(step, "path") == 0) {
        app->path = plan_need(plan);
    } else if (strcmp(step, "directory") == 0) {
        app->directory = plan_need(plan);
    } else if (strcmp(step, "user") == 0) {
        read_user(app, plan);
    } else if (strcmp(step, "capabilities") == 0) {
        app->bounding = strtoull(plan_need(plan), NULL, 10);
        app->inheritable = strtoull(plan_need(plan), NULL, 10);
        app->ambient = strtoull(plan_need(plan), NULL, 10);
    } else if (strcmp(step, "no-new-privileges") == 0) {
        app->no_new_privileges = true;
    } else if (strcmp(step, "label") == 0) {
        char **label = app->labels[app->labels[0][0] != NULL];
        label[0] = plan_need(plan);
        label[1] = plan_need(plan);
    } else if (strcmp(step, "seccomp") == 0) {
        read_filter(app, (int)plan_number(plan));
    } else if (strcmp(step, "terminal") == 0) {
        app->terminal = true;
    } else if (strcmp(step, "die-with-init") == 0) {
        app->dies_with_init = true;
    } else if (strcmp(step, "listen") == 0) {
        const char *protocol = plan_need(plan);
        add_socket(app, listening(protocol, (int)plan_number(plan)));
    } else if (strcmp(step, "socket") == 0) {
        add_socket(app, (int)plan_number(plan));
    } else if (strcmp(step, "socket-names") == 0) {
        app->socket_names = plan_need(plan);
    } else if (strcmp(step, "stream") == 0) {
        int stream = (int)plan_number(plan);
        if (stream >= 0 && stream < 3) app->streams[stream] = (int)plan_number(plan);
    } else {
        return false;
    }
    return true;
}

static void tell_start(const char *name, int events) {
    char message[320];
    int length = snprintf(message, sizeof message, "started%c%s", 0, name);
    send(events, message, (size_t)length + 1, MSG_NOSIGNAL);
}

/* A working directory such as /proc/self/fd/6 must not be one of ours (CVE-2024-21626): those are closed, and the kernel tells
 * of a directory that lies outside the root. */
static void enter_directory(const char *path) {
    close(DATA_FD);
    close(LOCK_FD);
    if (chdir(path) != 0) fail("can't change to the working directory %s", path);
    char where[PATH_MAX];
    long length = syscall(SYS_getcwd, where, sizeof where);
    errno = EXDEV;
    if (length < 2 || where[0] != '/') fail("can't change to the working directory %s", path);
}

_Noreturn void app(const char *name, struct plan section, struct rendezvous rendezvous, struct channels channels) {
    struct app app = {.streams = {-1, -1, -1}};
    umask(022);
    for (char *step; (step = plan_word(&section)) != NULL;)
        if (!app_step(step, &section, &app) && !root_step(step, &section)) {
            errno = EPROTO;
            fail("the plan has an unknown step %s", step);
        }
    setsid();
    if (app.terminal) take_terminal(root_terminal(app.user));
    set_streams(&app);
    enter_directory(app.directory);
    /* Nothing of ours is open in the app, but the report works until it is there. */
    if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail("can't close our files");
    struct app_report report = {0};
    if (app.post_stop != NULL) report.post_stop = post_stop(&app, rendezvous.end);
    char byte;
    if (write(rendezvous.ready, &report, sizeof report) != sizeof report) _exit(EXIT_SETUP);
    while (read(rendezvous.go, &byte, 1) < 0 && errno == EINTR) continue;
    tell_start(name, channels.events);
    if (app.pre_start != NULL) pre_start(&app);
    if (app.socket_count > 0) hand_over_sockets(&app);
    execute(&app, app.arguments, app.user, app.group);
}

/* Runs one more program in a pod that runs: it is a child of this process, which stays outside the pod's process namespace. */
int enter(struct plan *plan) {
    struct app app = {.streams = {-1, -1, -1}};
    for (char *step; (step = plan_word(plan)) != NULL;) {
        if (strcmp(step, "enter") == 0) {
            int process = (int)plan_number(plan);
            if (setns(process, (int)plan_number(plan)) != 0) fail("can't enter the pod");
        } else if (!app_step(step, plan, &app)) {
            errno = EPROTO;
            fail("the plan has an unknown step %s", step);
        }
    }
    enter_directory(app.directory);
    if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail("can't close our files");
    /* The terminal of whoever calls is not the program's: ^C reaches it by d2a, which passes signals on. */
    setsid();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    unsigned number;
    int terminal = app.terminal ? new_terminal(app.user, &number) : -1;
    pid_t child = fork();
    if (child < 0) fail("can't start a process");
    if (child == 0) {
        setsid();
        if (terminal >= 0) take_terminal(terminal);
        execute(&app, app.arguments, app.user, app.group);
    }
    close(REPORT_FD);
    if (terminal >= 0) close(terminal);
    /* A reader of its output must see the end when it closes it, not when we do. */
    for (int fd = 0; fd < 3; fd++) close(fd);
    int status;
    while (waitpid(child, &status, WNOHANG) != child) {
        int got = sigwaitinfo(&all, NULL);
        if (got > 0 && got != SIGCHLD) kill(child, got);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
