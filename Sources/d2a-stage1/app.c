/* The last steps before the image's own program runs. */
#define _GNU_SOURCE
#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void limit_bounding_set(uint64_t mask) {
    for (int capability = 0; capability < 64; capability++)
        if ((mask >> capability & 1) == 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL)
            fail("can't drop capability %d", capability);
}

static void become(const struct app *app) {
    limit_bounding_set(app->capabilities);
    if (setgroups(app->group_count, app->groups) != 0) fail("can't set the supplementary groups");
    if (setresgid(app->group, app->group, app->group) != 0) fail("can't become group %u", app->group);
    if (setresuid(app->user, app->user, app->user) != 0) fail("can't become user %u", app->user);
    /* Root keeps what the pod may have; anybody else has nothing but what programs with file capabilities give. */
    uint64_t mask = app->user == 0 ? app->capabilities : 0;
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)mask, (uint32_t)mask, 0}, {(uint32_t)(mask >> 32), (uint32_t)(mask >> 32), 0}};
    if (syscall(SYS_capset, &header, data) != 0) fail("can't limit the capabilities");
}

static void take_terminal(int terminal) {
    if (ioctl(terminal, TIOCSCTTY, 0) != 0) fail("can't take the terminal");
    dup2(terminal, 0);
    dup2(terminal, 1);
    if (isatty(2)) dup2(terminal, 2);
}

/* Like execvpe, but by the app's PATH, and a file that is no program is not given to a shell. */
static void run(const struct app *app) {
    const char *program = app->arguments[0];
    if (strchr(program, '/') != NULL) {
        execve(program, app->arguments, app->environment);
        return;
    }
    int code = ENOENT;
    for (const char *part = app->path; part != NULL; part = strchr(part, ':') ? strchr(part, ':') + 1 : NULL) {
        char file[4096];
        int length = (int)strcspn(part, ":");
        /* An empty part means the working directory. */
        if (snprintf(file, sizeof file, "%.*s/%s", length ? length : 1, length ? part : ".", program) >= (int)sizeof file) continue;
        execve(file, app->arguments, app->environment);
        if (errno != ENOENT && errno != ENOTDIR) code = errno;
    }
    errno = code;
}

_Noreturn void app_exec(const struct app *app) {
    setsid();
    if (app->terminal >= 0) take_terminal(app->terminal);
    umask(022);
    if (chdir(app->directory) != 0) fail("can't change to the working directory %s", app->directory);
    become(app);
    /* Nothing of ours is open in the app, but the report works until it is there. */
    if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail("can't close our files");
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    run(app);
    bool missing = errno == ENOENT || errno == ENOTDIR;
    fail_as("exec", missing ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE, "%s", app->arguments[0]);
}
