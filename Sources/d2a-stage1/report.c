#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int report_fd = REPORT_FD;

void move_report(void) {
    int copy = fcntl(report_fd, F_DUPFD_CLOEXEC, 64);
    if (copy < 0) fail("can't hand over sockets");
    report_fd = copy;
}

/* A failure is one message: kind, errno and words, each ending with a zero byte. */
static void report(const char *kind, int code, const char *format, va_list arguments) {
    char message[1024];
    int used = snprintf(message, sizeof message, "%s%c%d%c", kind, 0, code, 0);
    vsnprintf(message + used, sizeof message - (size_t)used, format, arguments);
    send(report_fd, message, (size_t)used + strlen(message + used) + 1, MSG_NOSIGNAL);
}

_Noreturn void fail(const char *format, ...) {
    int code = errno;
    va_list arguments;
    va_start(arguments, format);
    report("setup", code, format, arguments);
    _exit(EXIT_SETUP);
}

_Noreturn void fail_as(const char *kind, int status, const char *format, ...) {
    int code = errno;
    va_list arguments;
    va_start(arguments, format);
    report(kind, code, format, arguments);
    _exit(status);
}

/* Hands the master side of the app's terminal to d2a. */
void report_terminal(int master) {
    char kind[] = "terminal";
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec data = {kind, sizeof kind};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &master, sizeof master);
    if (sendmsg(report_fd, &message, MSG_NOSIGNAL) < 0) fail("can't hand over the terminal");
}
