#define _GNU_SOURCE
#include "stage1.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int hold_users(void) {
    if (unshare(CLONE_NEWUSER) != 0) return EXIT_SETUP;
    char byte = 0;
    return write(3, &byte, 1) == 1 && read(3, &byte, 1) == 0 ? 0 : EXIT_SETUP;
}

/* usage: d2a-stage1 PARENT-PID | enter | users, with the descriptors of stage1.h */
int main(int count, char **words) {
    if (count != 2) return EXIT_SETUP;
    struct plan plan;
    /* Nobody inside the pod may look at our memory, or reach our program file through /proc (CVE-2019-5736). */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Dispositions are inherited: whatever d2a ignores, the app must not. The C library keeps two signals to itself, so the kernel is asked. */
    static const unsigned long by_default[8];
    for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, by_default, NULL, 8);
    if (strcmp(words[1], "users") == 0) return hold_users();
    plan_read(&plan, PLAN_FD);
    if (strcmp(words[1], "enter") == 0) return enter(&plan);
    return keeper(&plan, (pid_t)atol(words[1]));
}

void name_process(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
