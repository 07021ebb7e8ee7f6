/* Process 1 of the pod. */
#define _GNU_SOURCE
#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0) fail("can't look at the loopback interface");
    request.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("can't start the loopback interface");
    close(fd);
}

static void namespaces(const char *names) {
    int flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC;
    bool network = strstr(names, "net") != NULL;
    if (unshare(flags | (network ? CLONE_NEWNET : 0)) != 0) fail("can't make the pod's namespaces");
    if (network) loopback_up();
    /* Keys of whoever started us are not the pod's. */
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

static bool app_step(const char *step, struct plan *plan, struct app *app) {
    if (strcmp(step, "exec") == 0) {
        app->arguments = plan_list(plan);
    } else if (strcmp(step, "environment") == 0) {
        app->environment = plan_list(plan);
    } else if (strcmp(step, "path") == 0) {
        app->path = plan_need(plan);
    } else if (strcmp(step, "directory") == 0) {
        app->directory = plan_need(plan);
    } else if (strcmp(step, "user") == 0) {
        app->user = (uid_t)plan_number(plan);
        app->group = (gid_t)plan_number(plan);
        char **words = plan_list(plan);
        while (words[app->group_count] != NULL) app->group_count++;
        app->groups = calloc(app->group_count + 1, sizeof *app->groups);
        if (app->groups == NULL) fail("can't read the plan");
        for (size_t index = 0; index < app->group_count; index++) app->groups[index] = (gid_t)strtoul(words[index], NULL, 10);
    } else if (strcmp(step, "capabilities") == 0) {
        app->capabilities = (uint64_t)plan_number(plan);
    } else if (strcmp(step, "terminal") == 0) {
        app->terminal = root_terminal(app->user);
    } else {
        return false;
    }
    return true;
}

/* Reaps, and passes signals on, until the app has ended. The kernel then ends whatever else is in the pod. */
static int reap(pid_t app) {
    sigset_t all;
    sigfillset(&all);
    while (true) {
        siginfo_t info;
        int number = sigwaitinfo(&all, &info);
        if (number < 0) continue;
        if (number != SIGCHLD) {
            kill(app, number);
            continue;
        }
        int status;
        for (pid_t child; (child = waitpid(-1, &status, WNOHANG)) > 0;)
            if (child == app) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

_Noreturn void init(struct plan *plan) {
    name_process("d2a-init");
    struct app app = {.terminal = -1};
    for (char *step; (step = plan_word(plan)) != NULL;) {
        if (strcmp(step, "namespaces") == 0)
            namespaces(plan_need(plan));
        else if (strcmp(step, "hostname") == 0) {
            char *name = plan_need(plan);
            if (sethostname(name, strlen(name)) != 0) fail("can't set the host name %s", name);
        } else if (!root_step(step, plan) && !app_step(step, plan, &app)) {
            errno = EPROTO;
            fail("the plan has an unknown step %s", step);
        }
    }
    pid_t child = fork();
    if (child < 0) fail("can't start a process");
    if (child == 0) app_exec(&app);
    /* Only the lock on the pod's directory stays open. */
    if (dup3(LOCK_FD, 3, O_CLOEXEC) < 0 || syscall(SYS_close_range, 4, ~0U, 0) != 0) _exit(EXIT_SETUP);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
    close(null);
    _exit(reap(child));
}
