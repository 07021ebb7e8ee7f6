/* d2a-probe: says what a process finds where it is started, as one JSON object on standard output (Sources/Observation/Surroundings.swift
 * reads it). d2a compare mounts it into containers and pods and has it run in place of an image's program: it needs nothing of
 * the image, and changes nothing. Its words are those that the program would have got. */
#define _GNU_SOURCE
#include "json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* What a file holds, up to a limit, with a zero byte after it; NULL where it can't be read. */
static char *content(const char *path, size_t limit, size_t *count) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    char *bytes = malloc(limit + 1);
    size_t used = 0;
    ssize_t more = -1;
    while (bytes != NULL && used < limit && (more = read(fd, bytes + used, limit - used)) != 0)
        if (more > 0)
            used += (size_t)more;
        else if (errno != EINTR)
            break;
    close(fd);
    if (bytes == NULL || more < 0) {
        free(bytes);
        return NULL;
    }
    bytes[used] = 0;
    if (count != NULL) *count = used;
    return bytes;
}

static void file(const char *name, const char *path) {
    size_t count = 0;
    char *bytes = content(path, 1 << 20, &count);
    if (bytes != NULL) json_bytes(name, bytes, count);
    free(bytes);
}

/* A value in one line, without the end of the line. */
static void line(const char *name, const char *path) {
    size_t count = 0;
    char *bytes = content(path, 4096, &count);
    if (bytes == NULL) return;
    json_bytes(name, bytes, strcspn(bytes, "\n"));
    free(bytes);
}

static void words(const char *name, char **list) {
    json_open(name, '[');
    for (; *list != NULL; list++)
        if (json_has_room(strlen(*list))) json_text(NULL, *list);
    json_close_list();
}

/* MARK: who it is, and what it may do */

static void identity(void) {
    uid_t user[3];
    gid_t group[3];
    if (getresuid(&user[0], &user[1], &user[2]) != 0 || getresgid(&group[0], &group[1], &group[2]) != 0) return;
    json_open("users", '[');
    for (size_t index = 0; index < 3; index++) json_number(NULL, user[index]);
    json_close(']');
    json_open("groups", '[');
    for (size_t index = 0; index < 3; index++) json_number(NULL, group[index]);
    json_close(']');
    static gid_t more[65536];
    int count = getgroups(65536, more);
    json_open("supplementaryGroups", '[');
    for (int index = 0; index < count; index++)
        if (json_has_room(sizeof more[0])) json_number(NULL, more[index]);
    json_close_list();
}

/* Members of /proc/self/status, which are text: the kernel's own spelling. */
static void status(void) {
    static const struct {
        const char *name, *key;
    } members[] = {
        {"umask", "Umask"}, {"noNewPrivileges", "NoNewPrivs"}, {"seccomp", "Seccomp"}, {"ignoredSignals", "SigIgn"}, {"blockedSignals", "SigBlk"},
    }, sets[] = {{"inheritable", "CapInh"}, {"permitted", "CapPrm"}, {"effective", "CapEff"}, {"bounding", "CapBnd"}, {"ambient", "CapAmb"}};
    char *text = content("/proc/self/status", 65536, NULL);
    if (text == NULL) return;
    for (size_t set = 0; set < 2; set++) {
        if (set == 1) json_open("capabilities", '{');
        size_t count = set == 0 ? sizeof members / sizeof members[0] : sizeof sets / sizeof sets[0];
        for (size_t index = 0; index < count; index++) {
            char key[32];
            snprintf(key, sizeof key, "\n%s:\t", set == 0 ? members[index].key : sets[index].key);
            char *value = strstr(text, key);
            if (value == NULL) continue;
            value += strlen(key);
            json_bytes(set == 0 ? members[index].name : sets[index].name, value, strcspn(value, "\n"));
        }
        if (set == 1) json_close('}');
    }
    free(text);
    json_number("secureBits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

static void limits(void) {
    static const struct {
        const char *name;
        int number;
    } known[] = {
        {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},           {"data", RLIMIT_DATA},
        {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS}, {"memlock", RLIMIT_MEMLOCK},   {"msgqueue", RLIMIT_MSGQUEUE},
        {"nice", RLIMIT_NICE},       {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC},     {"rss", RLIMIT_RSS},
        {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME}, {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
    };
    json_open("limits", '{');
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        struct rlimit limit;
        if (getrlimit(known[index].number, &limit) != 0) continue;
        char text[2][32];
        rlim_t values[] = {limit.rlim_cur, limit.rlim_max};
        for (size_t half = 0; half < 2; half++)
            if (values[half] == RLIM_INFINITY)
                strcpy(text[half], "unlimited");
            else
                snprintf(text[half], sizeof text[half], "%llu", (unsigned long long)values[half]);
        json_format(known[index].name, "%s %s", text[0], text[1]);
    }
    json_close('}');
}

/* MARK: namespaces and control groups */

static void namespaces(void) {
    static const char *const names[] = {"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};
    json_open("namespaces", '{');
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[64], target[128];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[index]);
        ssize_t count = readlink(path, target, sizeof target);
        if (count > 0) json_bytes(names[index], target, (size_t)count);
    }
    json_close('}');
}

/* What a program that looks for its limits reads: files of version 2, and of version 1 below its controllers. */
static void control_groups(void) {
    static const char *const files[] = {
        "memory.max", "memory.high", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max", "memory/memory.limit_in_bytes",
        "memory/memory.soft_limit_in_bytes", "memory/memory.memsw.limit_in_bytes", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us", "cpu/cpu.shares",
        "pids/pids.max", "cpuset/cpuset.cpus", "cpuset.cpus.effective",
    };
    file("controlGroups", "/proc/self/cgroup");
    json_open("controlGroupLimits", '{');
    for (size_t index = 0; index < sizeof files / sizeof files[0]; index++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", files[index]);
        line(files[index], path);
    }
    json_close('}');
}

/* MARK: files */

/* Undoes the kernel's escapes of blanks and backslashes: \040. */
static size_t unescaped(char *text) {
    char *to = text;
    for (const char *from = text; *from != 0; to++)
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    return (size_t)(to - text);
}

/* proc_pid_mountinfo(5): ID PARENT DEVICE ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS */
static void mounts(void) {
    char *text = content("/proc/self/mountinfo", 4 << 20, NULL), *rest = text;
    json_open("mounts", '[');
    for (char *entry; rest != NULL && (entry = strsep(&rest, "\n")) != NULL;) {
        if (!json_has_room(strlen(entry))) continue;
        char *before = strsep(&entry, " "), *fields[6] = {before}, *after[3] = {NULL};
        for (size_t index = 1; index < 6 && entry != NULL; index++) fields[index] = strsep(&entry, " ");
        bool shared = false;
        for (char *tag; (tag = strsep(&entry, " ")) != NULL && strcmp(tag, "-") != 0;)
            if (strncmp(tag, "shared:", 7) == 0 || strncmp(tag, "master:", 7) == 0) shared = true;
        for (size_t index = 0; index < 3 && entry != NULL; index++) after[index] = strsep(&entry, " ");
        if (fields[5] == NULL || after[2] == NULL) continue;
        json_open(NULL, '{');
        json_bytes("point", fields[4], unescaped(fields[4]));
        json_text("options", fields[5]);
        json_bool("propagates", shared);
        json_text("type", after[0]);
        json_bytes("source", after[1], unescaped(after[1]));
        json_bytes("superOptions", after[2], unescaped(after[2]));
        json_close('}');
    }
    json_close_list();
    free(text);
}

static int by_name(const struct dirent **left, const struct dirent **right) { return strcmp((*left)->d_name, (*right)->d_name); }

/* What lies in /dev, directories and what is in them, sorted; no link is followed. */
static void devices_in(const char *directory, int depth) {
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, by_name);
    for (int index = 0; index < count; index++) {
        const char *name = entries[index]->d_name;
        char path[1024];
        struct stat status;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path &&
            lstat(path, &status) == 0 && json_has_room(strlen(path) + 128)) {
            json_open(NULL, '{');
            json_text("path", path);
            json_format("mode", "%06o", status.st_mode);
            json_format("owner", "%u:%u", status.st_uid, status.st_gid);
            if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) json_format("device", "%u:%u", major(status.st_rdev), minor(status.st_rdev));
            char target[1024];
            ssize_t length = S_ISLNK(status.st_mode) ? readlink(path, target, sizeof target) : -1;
            if (length >= 0) json_bytes("target", target, (size_t)length);
            json_close('}');
            if (S_ISDIR(status.st_mode) && depth > 0) devices_in(path, depth - 1);
        }
        free(entries[index]);
    }
    if (count >= 0) free(entries);
}

static void devices(void) {
    json_open("devices", '[');
    devices_in("/dev", 3);
    json_close_list();
}

/* How paths of the kernel's that tell of the host, or change it, appear. */
static void kernel_paths(void) {
    static const char *const paths[] = {
        "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/config.gz", "/proc/fs", "/proc/interrupts", "/proc/irq", "/proc/kallsyms", "/proc/kcore",
        "/proc/keys", "/proc/kmsg", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/sys", "/proc/sysrq-trigger", "/proc/timer_list",
        "/proc/timer_stats", "/sys", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/cgroup", "/sys/kernel",
    };
    json_open("kernelPaths", '{');
    for (size_t index = 0; index < sizeof paths / sizeof paths[0]; index++) {
        struct stat status;
        struct statfs system;
        const char *state = "missing";
        if (stat(paths[index], &status) == 0 && statfs(paths[index], &system) == 0) {
            bool null = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
            bool kernel = strncmp(paths[index], "/proc/", 6) == 0 ? (unsigned long)system.f_type == PROC_SUPER_MAGIC : (unsigned long)system.f_type != TMPFS_MAGIC;
            /* The directory of version 1's control groups is a tmpfs that shows them. */
            if (strcmp(paths[index], "/sys/fs/cgroup") == 0) kernel = true;
            state = null || !kernel ? "hidden" : system.f_flags & ST_RDONLY ? "read-only" : "shown";
        }
        json_text(paths[index], state);
    }
    json_close('}');
}

/* MARK: surroundings */

/* The kind and, of what has a name that means something to others, the name. */
static void descriptors(void) {
    json_open("descriptors", '{');
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char target[4096];
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(directory) || ++count > 256) continue;
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
        if (length < 0) continue;
        /* "pipe:[4711]": the number is no other's. */
        char *inode = target[0] == '/' ? NULL : memmem(target, (size_t)length, ":[", 2);
        json_bytes(entry->d_name, target, inode != NULL ? (size_t)(inode - target) : (size_t)length);
    }
    if (directory != NULL) closedir(directory);
    json_close('}');
}

/* Engines set a terminal's size once the program runs: it is waited for, but not for long. */
static void terminal(void) {
    json_open("terminal", '[');
    for (int fd = 0; fd < 3; fd++) json_bool(NULL, isatty(fd));
    json_close(']');
    int fd = isatty(0) ? 0 : isatty(1) ? 1 : isatty(2) ? 2 : -1;
    if (fd < 0) return;
    struct winsize size = {0};
    for (int turn = 0; turn < 100 && ioctl(fd, TIOCGWINSZ, &size) == 0 && (size.ws_row == 0 || size.ws_col == 0); turn++)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    json_format("terminalSize", "%ux%u", size.ws_row, size.ws_col);
    json_bool("controlsTerminal", tcgetsid(fd) == getsid(0));
}

int main(int count, char **arguments) {
    (void)count;
    json_open(NULL, '{');
    json_number("version", 1);
    words("arguments", arguments + 1);
    words("environment", environ);
    char *directory = get_current_dir_name();
    if (directory != NULL) json_text("directory", directory);
    identity();
    status();
    limits();
    namespaces();
    control_groups();
    mounts();
    devices();
    kernel_paths();
    struct utsname system;
    if (uname(&system) == 0) {
        json_text("hostName", system.nodename);
        json_text("domainName", system.domainname);
    }
    json_open("files", '{');
    static const char *const files[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"};
    for (size_t index = 0; index < sizeof files / sizeof files[0]; index++) file(files[index], files[index]);
    json_close('}');
    descriptors();
    terminal();
    line("oomScoreAdjust", "/proc/self/oom_score_adj");
    json_number("personality", personality(0xffffffff));
    line("securityLabel", "/proc/self/attr/current");
    json_number("process", getpid());
    json_bool("leadsSession", getsid(0) == getpid());
    json_number("niceness", getpriority(PRIO_PROCESS, 0));
    json_close('}');
    putchar('\n');
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 74;
}
