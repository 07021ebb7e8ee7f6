/* Process 1 of the pod. */
#define _GNU_SOURCE
#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct running {
    const char *name;
    pid_t pid;       /* 0 when it has ended */
    pid_t post_stop; /* 0 when there is none, or it has ended */
    int ready;       /* the other side of struct rendezvous */
    int end;
};

struct pod {
    struct running *apps;
    size_t count;
    long long stop_timeout; /* milliseconds from TERM to KILL */
    int handed_over;        /* how many descriptors d2a handed over, from 3 on */
    struct channels channels;
};

static void loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0) fail("can't look at the loopback interface");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("can't start the loopback interface");
    close(fd);
}

static void namespaces(char **names) {
    static const struct {
        const char *name;
        int flag;
    } known[] = {{"mnt", CLONE_NEWNS}, {"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC}, {"net", CLONE_NEWNET}};
    int flags = 0;
    for (; *names != NULL; names++)
        for (size_t index = 0; index < sizeof known / sizeof known[0]; index++)
            if (strcmp(*names, known[index].name) == 0) flags |= known[index].flag;
    if (unshare(flags) != 0) fail("can't make the pod's namespaces");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("can't make the mounts private");
    if (flags & CLONE_NEWNET) loopback_up();
    /* Keys of whoever started us are not the pod's. */
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

/* "0" means whoever writes it. */
void join_cgroup(int procs) {
    if (write(procs, "0", 1) != 1) fail("can't join the pod's control group");
}

/* The kernel shows this process the parameters of its own namespaces. */
static void set_parameter(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) fail("can't set %s to %s", path, value);
    close(fd);
}

static void pod_step(const char *step, struct plan *plan, struct pod *pod) {
    if (strcmp(step, "descriptors") == 0) {
        pod->handed_over = (int)plan_number(plan);
    } else if (strcmp(step, "cgroup") == 0) {
        join_cgroup((int)plan_number(plan));
    } else if (strcmp(step, "network") == 0) {
        if (setns((int)plan_number(plan), CLONE_NEWNET) != 0) fail("can't enter the pod's network");
    } else if (strcmp(step, "namespaces") == 0) {
        namespaces(plan_list(plan));
    } else if (strcmp(step, "hostname") == 0) {
        char *name = plan_need(plan);
        if (sethostname(name, strlen(name)) != 0) fail("can't set the host name %s", name);
    } else if (strcmp(step, "shared-memory") == 0) {
        const char *path = plan_need(plan), *data = plan_need(plan);
        if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) != 0) fail("can't mount the pod's shared memory");
    } else if (strcmp(step, "sysctl") == 0) {
        const char *path = plan_need(plan);
        set_parameter(path, plan_need(plan));
    } else if (strcmp(step, "stop-timeout") == 0) {
        pod->stop_timeout = plan_number(plan);
    } else {
        errno = EPROTO;
        fail("the plan has an unknown step %s", step);
    }
}

/* Forks a process for an app, with mounts of its own. */
static void start(struct pod *pod, const char *name, struct plan section, const int go[2]) {
    struct running *running = &pod->apps[pod->count++];
    int ready[2], end[2];
    if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(end, O_CLOEXEC) != 0) fail("can't make a pipe");
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0) fail("can't start a process");
    if (pid == 0) {
        close(go[1]);
        close(ready[0]);
        close(end[1]);
        app(name, section, (struct rendezvous){.ready = ready[1], .go = go[0], .end = end[0]}, pod->channels);
    }
    close(ready[1]);
    close(end[0]);
    *running = (struct running){.name = name, .pid = pid, .ready = ready[0], .end = end[1]};
}

/* Waits until every app's root is made. If one can't be, it has said why, and none starts. */
static void await_roots(struct pod *pod) {
    for (size_t index = 0; index < pod->count; index++) {
        struct app_report report;
        if (read(pod->apps[index].ready, &report, sizeof report) != sizeof report) _exit(EXIT_SETUP);
        pod->apps[index].post_stop = report.post_stop;
        close(pod->apps[index].ready);
    }
}

/* What is left needs no files and no rights but to signal the apps: nobody who takes this process over gains anything. */
static void drop_everything(const struct pod *pod) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
    leave_host();
    close(pod->channels.ready);
    if (syscall(SYS_close_range, 3, pod->handed_over + 2, 0) != 0) fail("can't close our files");
    set_capabilities(1u << 5 /* CAP_KILL */, 0);
}

static void signal_apps(const struct pod *pod, int number) {
    for (size_t index = 0; index < pod->count; index++)
        if (pod->apps[index].pid > 0) kill(pod->apps[index].pid, number);
}

/* Among the host's processes only the apps are ours to kill. */
static void kill_all(const struct pod *pod) {
    if (getpid() == 1) {
        kill(-1, SIGKILL);
        return;
    }
    signal_apps(pod, SIGKILL);
    for (size_t index = 0; index < pod->count; index++)
        if (pod->apps[index].post_stop > 0) kill(pod->apps[index].post_stop, SIGKILL);
}

static void tell_exit(const struct pod *pod, const char *name, int code, int signal) {
    char message[320];
    int length = snprintf(message, sizeof message, "exited%c%s%c%d %d", 0, name, 0, code, signal);
    send(pod->channels.events, message, (size_t)length + 1, MSG_NOSIGNAL);
}

/* Notes that a child has ended.
 * Returns the code of an app that failed, else 0. */
static int ended(struct pod *pod, pid_t child, int status) {
    for (size_t index = 0; index < pod->count; index++) {
        struct running *app = &pod->apps[index];
        if (app->post_stop == child) app->post_stop = 0;
        if (app->pid != child) continue;
        app->pid = 0;
        int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        tell_exit(pod, app->name, code, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        close(app->end);
        return code;
    }
    return 0;
}

static bool any_left(const struct pod *pod) {
    for (size_t index = 0; index < pod->count; index++)
        if (pod->apps[index].pid > 0 || pod->apps[index].post_stop > 0) return true;
    return false;
}

static long long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Reaps, and passes signals on, until every app has ended: the first that fails ends the others. The kernel then ends
 * whatever else is in the pod. */
static int reap(struct pod *pod) {
    sigset_t all;
    sigfillset(&all);
    int result = 0;
    long long deadline = 0;
    while (any_left(pod)) {
        siginfo_t info;
        long long left = deadline - milliseconds();
        if (left < 0) left = 0;
        struct timespec patience = {left / 1000, left % 1000 * 1000000};
        int number = sigtimedwait(&all, &info, deadline > 0 ? &patience : NULL);
        if (number < 0) {
            /* Whoever is left had its time. Handlers too: a pod must end. */
            if (errno == EAGAIN) kill_all(pod);
            continue;
        }
        if (number != SIGCHLD) {
            signal_apps(pod, number);
            if (number == SIGTERM && deadline == 0) deadline = milliseconds() + pod->stop_timeout;
            continue;
        }
        int status;
        for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;) {
            int code = ended(pod, child, status);
            if (code == 0 || result != 0) continue;
            result = code;
            signal_apps(pod, SIGTERM);
            if (deadline == 0) deadline = milliseconds() + pod->stop_timeout;
        }
    }
    return result;
}

_Noreturn void init(struct plan *plan, struct channels channels) {
    name_process("d2a-init");
    if (getpid() != 1) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    struct pod pod = {.stop_timeout = 10000, .channels = channels};
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0) fail("can't make a pipe");
    for (char *step; (step = plan_word(plan)) != NULL;) {
        if (strcmp(step, "app") != 0) {
            pod_step(step, plan, &pod);
            continue;
        }
        pod.apps = realloc(pod.apps, (pod.count + 1) * sizeof *pod.apps);
        if (pod.apps == NULL) fail("can't read the plan");
        const char *name = plan_need(plan);
        start(&pod, name, plan_section(plan), go);
    }
    close(go[0]);
    /* While the apps make their roots: leaving the host's mounts takes the kernel a while. */
    drop_everything(&pod);
    await_roots(&pod);
    close(go[1]);
    _exit(reap(&pod));
}
