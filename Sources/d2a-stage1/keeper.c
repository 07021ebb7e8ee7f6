/* The process outside the pod that outlives everything in it. */
#define _GNU_SOURCE
#include "stage1.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sent by the kernel when d2a is gone, however it went. d2a itself never sends it. */
#define PARENT_GONE SIGRTMAX

/* Bytes of a log from which on its older half goes. */
#define LOG_BOUND (64l << 20)

static void silence(void) {
    /* A reader of the app's output must see its end when the app closes it, not when we do. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
}

/* Writes a number, and a second one where it isn't 0, into a file of the pod's directory: by a rename, so that no reader sees half. */
static void note_both(const char *name, long number, long second) {
    char text[64], temporary[320];
    int length = snprintf(text, sizeof text, second ? "%ld %ld\n" : "%ld\n", number, second);
    snprintf(temporary, sizeof temporary, "%s.new", name);
    int fd = openat(LOCK_FD, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return;
    bool whole = write(fd, text, (size_t)length) == length;
    close(fd);
    if (!whole || renameat(LOCK_FD, temporary, LOCK_FD, name) != 0) unlinkat(LOCK_FD, temporary, 0);
}

static void note(const char *name, long number) { note_both(name, number, 0); }

/* What the pod says of an app: "started" by itself, or "exited", its status and the signal that ended it by init, which the kernel has
 * signed. */
static bool note_event(int events) {
    char text[512];
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec data = {text, sizeof text - 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count = recvmsg(events, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count <= 0) return false;
    text[count] = 0;
    const char *app = text + strlen(text) + 1;
    if (app >= text + count) return true;
    const char *status = app + strlen(app) + 1;
    char name[300];
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (strcmp(text, "started") == 0 && header != NULL && header->cmsg_type == SCM_CREDENTIALS) {
        struct ucred sender;
        memcpy(&sender, CMSG_DATA(header), sizeof sender);
        snprintf(name, sizeof name, "apps/%s/pid", app);
        note(name, sender.pid);
    } else if (strcmp(text, "exited") == 0 && status < text + count) {
        snprintf(name, sizeof name, "apps/%s/status", app);
        char *signal;
        long code = strtol(status, &signal, 10);
        note_both(name, code, atol(signal));
    }
    return true;
}

static void pass_on(int signals, pid_t child) {
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info)
        if ((int)info.ssi_signo == PARENT_GONE)
            kill(child, SIGKILL);
        else if (info.ssi_signo != SIGCHLD)
            kill(child, (int)info.ssi_signo);
}

/* A log keeps its last part, so that no app fills the disk with it. What is written meanwhile is written at its end. */
static void bound_logs(char **apps) {
    for (; *apps != NULL; apps++) {
        char name[300];
        snprintf(name, sizeof name, "apps/%s/log", *apps);
        struct stat status;
        int log = openat(LOCK_FD, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (log < 0) continue;
        if (fstat(log, &status) == 0 && status.st_size > LOG_BOUND && fallocate(log, FALLOC_FL_COLLAPSE_RANGE, 0, (status.st_size - LOG_BOUND / 2) & ~((1 << 20) - 1)) != 0)
            /* Where the file system can't cut, it can forget. */
            fallocate(log, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (status.st_size - LOG_BOUND / 2) & ~((1 << 20) - 1));
        close(log);
    }
}

/* Passes signals on and writes down what happens, until process 1 of the pod has ended. */
static int watch(pid_t child, int signals, int events, int ready, char **logs) {
    struct pollfd waiting[] = {{signals, POLLIN, 0}, {events, POLLIN, 0}, {ready, POLLIN, 0}};
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        int count = poll(waiting, 3, logs[0] != NULL ? 1000 : -1);
        bound_logs(logs);
        if (count < 0) continue;
        if (waiting[0].revents != 0) pass_on(signals, child);
        if (waiting[1].revents != 0 && !note_event(events)) waiting[1].fd = -1;
        if (waiting[2].revents != 0) {
            waiting[2].fd = -1;
            note("ready", 1);
        }
    }
    bound_logs(logs);
    while (note_event(events)) continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Removes the pod's control groups, which d2a has listed in the order of their making: a path a line. */
static void remove_control_groups(void) {
    int fd = openat(LOCK_FD, "cgroups", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    static char paths[1 << 16];
    ssize_t count = read(fd, paths, sizeof paths - 1);
    close(fd);
    paths[count < 0 ? 0 : count] = 0;
    for (char *end; (end = strrchr(paths, '\n')) != NULL;) {
        *end = 0;
        char *before = strrchr(paths, '\n');
        rmdir(before ? before + 1 : paths);
    }
}

int keeper(struct plan *plan, pid_t parent) {
    name_process("d2a-keeper");
    /* The terminal's ^C reaches d2a, which passes it on: it must not reach us as well. */
    setsid();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_PDEATHSIG, PARENT_GONE, 0, 0, 0);
    const char *pod = plan_need(plan);
    bool remove = plan_number(plan) != 0;
    bool sees_host = plan_number(plan) != 0;
    plan_need(plan);
    char **logs = plan_list(plan);

    /* Paths of the plan are relative to it. A new mount namespace takes the working directory along, but no descriptor. */
    if (fchdir(DATA_FD) != 0) fail("can't enter the data directory");
    int life[2], ready[2], events[2];
    if (pipe2(life, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0) fail("can't make a pipe");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, events) != 0) fail("can't make a socket");
    int on = 1, signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 || setsockopt(events[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) fail("can't watch the pod");
    if (!sees_host && unshare(CLONE_NEWPID) != 0) fail("can't make a process namespace");
    pid_t child = fork();
    if (child < 0) fail("can't start a process");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        /* Had the keeper died before that call, no signal would come: the pipe's end tells. */
        close(life[1]);
        struct pollfd end = {life[0], POLLIN, 0};
        if (poll(&end, 1, 0) != 0) _exit(EXIT_SETUP);
        for (size_t index = 0; index < 4; index++) close((int[]){life[0], ready[0], events[0], signals}[index]);
        init(plan, (struct channels){.events = events[1], .ready = ready[1]});
    }
    close(REPORT_FD);
    close(ready[1]);
    close(events[1]);
    silence();
    note("pid", child);
    if (getppid() != parent) kill(child, SIGKILL);
    int code = watch(child, signals, events[0], ready[0], logs);
    remove_control_groups();
    /* Networks are d2a's to undo, and what tells of them stays until they are. What couldn't be set up may be tried in another way. */
    if (remove && code != EXIT_SETUP && faccessat(LOCK_FD, "net-info.json", F_OK, 0) != 0)
        remove_tree(DATA_FD, pod);
    else
        note("exit-status", code);
    return code;
}

/* Removes an entry and all below it, never following a link. What can't be removed stays for d2a gc. */
void remove_tree(int parent, const char *name) {
    if (unlinkat(parent, name, 0) == 0 || (errno != EISDIR && errno != EPERM)) return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) remove_tree(fd, entry->d_name);
    closedir(directory);
    unlinkat(parent, name, AT_REMOVEDIR);
}
