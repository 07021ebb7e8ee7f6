/* The process outside the pod that outlives everything in it. */
#define _GNU_SOURCE
#include "stage1.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sent by the kernel when d2a is gone, however it went. d2a itself never sends it. */
#define PARENT_GONE SIGRTMAX

static void silence(void) {
    /* A reader of the app's output must see its end when the app closes it, not when we do. */
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
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

    /* Paths of the plan are relative to it. A new mount namespace takes the working directory along, but no descriptor. */
    if (fchdir(DATA_FD) != 0) fail("can't enter the data directory");
    int life[2];
    if (pipe2(life, O_CLOEXEC) != 0) fail("can't make a pipe");
    if (unshare(CLONE_NEWPID) != 0) fail("can't make a process namespace");
    pid_t child = fork();
    if (child < 0) fail("can't start a process");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        /* Had the keeper died before that call, no signal would come: the pipe's end tells. */
        close(life[1]);
        struct pollfd end = {life[0], POLLIN, 0};
        if (poll(&end, 1, 0) != 0) _exit(EXIT_SETUP);
        close(life[0]);
        init(plan);
    }
    close(REPORT_FD);
    silence();
    if (getppid() != parent) kill(child, SIGKILL);

    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        siginfo_t info;
        int number = sigwaitinfo(&all, &info);
        if (number == PARENT_GONE)
            kill(child, SIGKILL);
        else if (number > 0 && number != SIGCHLD)
            kill(child, number);
    }
    remove_tree(DATA_FD, pod);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Removes an entry and all below it, never following a link. What can't be removed stays for the next d2a run. */
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
