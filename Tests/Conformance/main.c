/* appc-probe: what the tests of conformance run in pods (docs/conformance.md).
 *
 * usage: appc-probe pre-start|main|sidekick|post-stop
 *
 * It looks at its surroundings as an app that trusts in the appc spec would. What it finds goes to files of the volume /out:
 * a line "ok NAME" or "not ok NAME: what" for each thing looked at in MODE, and answers of the metadata service as they came
 * in MODE.NAME. The apps main and sidekick meet in the volume /db. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

/* linux/magic.h has it only since Linux 6. */
#ifndef SYSFS_MAGIC
#define SYSFS_MAGIC 0x62656572
#endif

enum { PORT = 18999, QUEUE = 0x64326131 };

static const char *mode;
static FILE *report;
static bool failed;

static void check(bool good, const char *name, const char *format, ...) {
    if (good) {
        fprintf(report, "ok %s\n", name);
        return;
    }
    failed = true;
    fprintf(report, "not ok %s: ", name);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(report, format, arguments);
    va_end(arguments);
    fprintf(report, " (%s)\n", strerror(errno));
}

/* MARK: files */

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static bool create(const char *path) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void put(const char *path, const char *bytes, size_t count) {
    char temporary[256];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *file = fopen(temporary, "w");
    if (file == NULL) return;
    fwrite(bytes, 1, count, file);
    fclose(file);
    rename(temporary, path);
}

static bool wait_for(const char *path) {
    for (int turn = 0; turn < 600; turn++) {
        if (exists(path)) return true;
        usleep(50000);
    }
    errno = ETIMEDOUT;
    return false;
}

static size_t get(const char *path, char *buffer, size_t size) {
    FILE *file = fopen(path, "r");
    size_t count = file == NULL ? 0 : fread(buffer, 1, size - 1, file);
    if (file != NULL) fclose(file);
    buffer[count] = 0;
    return count;
}

static bool is_mount_point(const char *path) {
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char line[4096], point[2048];
    bool found = false;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "%*d %*d %*s %*s %2047s", point) == 1 && strcmp(point, path) == 0) found = true;
    if (file != NULL) fclose(file);
    return found;
}

/* MARK: what every process is given */

static void surroundings(const char *app) {
    const char *path = getenv("PATH"), *name = getenv("AC_APP_NAME"), *container = getenv("container"), *url = getenv("AC_METADATA_URL");
    check(path && strcmp(path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") == 0, "path", "%s", path ? path : "none");
    check(name && strcmp(name, app) == 0, "app-name", "%s", name ? name : "none");
    check(container && container[0], "container", "none");
    check(url && strncmp(url, "http", 4) == 0, "metadata-url", "%s", url ? url : "none");
    const char *own = getenv("CONFORMANCE");
    check(own && strcmp(own, app) == 0, "environment", "%s", own ? own : "none");
    char directory[256] = "";
    check(getcwd(directory, sizeof directory) && strcmp(directory, strcmp(app, "main") == 0 ? "/opt/conformance" : "/") == 0, "working-directory", "%s", directory);
}

/* MARK: OS-SPEC.md */

static void file_system(const char *path, long magic) {
    struct statfs status = {0};
    char name[64];
    snprintf(name, sizeof name, "fs%s", path);
    check(statfs(path, &status) == 0 && status.f_type == magic && is_mount_point(path), name, "type %lx", (long)status.f_type);
}

static void device(const char *path, unsigned major_number, unsigned minor_number) {
    struct stat status = {0};
    char name[64];
    snprintf(name, sizeof name, "device%s", path);
    bool good = stat(path, &status) == 0 && S_ISCHR(status.st_mode);
    /* A console may be any terminal, or nothing's. */
    if (good && major_number != 0) good = status.st_rdev == makedev(major_number, minor_number);
    check(good, name, "mode %o, device %u:%u", status.st_mode, major(status.st_rdev), minor(status.st_rdev));
}

static void linux_environment(void) {
    file_system("/proc", PROC_SUPER_MAGIC);
    file_system("/sys", SYSFS_MAGIC);
    file_system("/dev/pts", DEVPTS_SUPER_MAGIC);
    file_system("/dev/shm", TMPFS_MAGIC);
    device("/dev/null", 1, 3);
    device("/dev/zero", 1, 5);
    device("/dev/full", 1, 7);
    device("/dev/random", 1, 8);
    device("/dev/urandom", 1, 9);
    device("/dev/tty", 5, 0);
    device("/dev/console", 0, 0);
    device("/dev/ptmx", 5, 2);

    char bytes[8] = "xxxxxxx";
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    check(fd >= 0 && write(fd, bytes, 8) == 8 && read(fd, bytes, 8) == 0, "null-works", "");
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && read(fd, bytes, 8) == 8 && memcmp(bytes, "\0\0\0\0\0\0\0\0", 8) == 0, "zero-works", "");
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    check(fd >= 0 && write(fd, bytes, 8) < 0 && errno == ENOSPC, "full-works", "");
    fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    check(fd >= 0 && read(fd, bytes, 8) == 8 && memcmp(bytes, "\0\0\0\0\0\0\0\0", 8) != 0, "urandom-works", "");
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
    unsigned number = 0;
    char terminal[64] = "";
    bool good = master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCGPTN, &number) == 0;
    snprintf(terminal, sizeof terminal, "/dev/pts/%u", number);
    check(good && exists(terminal), "ptmx-works", "%s", terminal);
    fd = open("/dev/shm/probe", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    check(fd >= 0, "shm-works", "");

    char hosts[4096];
    get("/etc/hosts", hosts, sizeof hosts);
    check(strstr(hosts, "127.0.0.1") && strstr(hosts, "localhost"), "hosts", "%s", hosts);

    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    good = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
    check(good && ioctl(fd, SIOCGIFADDR, &request) == 0 && ((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK), "loopback", "");
    close(fd);
}

/* MARK: volumes */

static void volumes(void) {
    struct stat status = {0};
    check(is_mount_point("/db"), "mount-point", "/db isn't one");
    check(is_mount_point("/made/deep/volume"), "mount-point-made", "no mount at /made/deep/volume");
    check(stat("/made/deep", &status) == 0 && status.st_uid == 0 && status.st_gid == 0 && (status.st_mode & 07777) == 0755, "mount-point-owner", "%o of %u:%u",
          status.st_mode, status.st_uid, status.st_gid);
    check(is_mount_point("/filled") && !exists("/filled/of-the-image"), "mount-hides", "what the image has is there");
    check(stat("/file", &status) == 0 && S_ISDIR(status.st_mode) && is_mount_point("/file"), "mount-over-file", "mode %o", status.st_mode);
    check(!create("/ro/x") && errno == EROFS, "volume-read-only", "could write");
    check(create("/db/written-by-main"), "volume-writable", "");
    check(stat("/owned", &status) == 0 && status.st_uid == 1234 && status.st_gid == 5678 && (status.st_mode & 07777) == 01775, "empty-volume-owner", "%o of %u:%u",
          status.st_mode, status.st_uid, status.st_gid);
    char text[64];
    get("/single", text, sizeof text);
    check(strcmp(text, "one file\n") == 0 && is_mount_point("/single"), "volume-of-one-file", "%s", text);
    check(exists("/tree/below/here"), "volume-recursive", "a mount below the source is missing");
    check(exists("/flat/below") && !exists("/flat/below/here"), "volume-not-recursive", "a mount below the source is there");
    check(stat("/filled", &status) == 0 && status.st_uid == 0 && status.st_gid == 0 && (status.st_mode & 07777) == 0755, "empty-volume-default", "%o of %u:%u",
          status.st_mode, status.st_uid, status.st_gid);
    check(is_mount_point("/inline") && !exists("/inline/written-by-main") && create("/inline/x"), "app-volume", "it isn't the app's own");
    check(!create("/guarded/x") && errno == EROFS, "mount-point-read-only", "could write");
    check(is_mount_point("/outer") && is_mount_point("/outer/inner") && create("/outer/inner/x"), "volume-in-volume", "");
}

/* MARK: the metadata service */

struct answer {
    int status;
    char type[128];
    char *body;
    char bytes[65536];
};

/* Asks for a path below AC_METADATA_URL; POSTs a form where there is one. The URL is http://A.B.C.D:PORT/TOKEN. */
static bool ask(struct answer *answer, const char *path, const char *form) {
    const char *url = getenv("AC_METADATA_URL");
    char address[64] = "", token[256] = "";
    unsigned port = 0;
    memset(answer, 0, sizeof *answer);
    answer->body = answer->bytes;
    if (url == NULL || sscanf(url, "http://%63[0-9.]:%u/%255s", address, &port, token) != 3) return false;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    static char request[16384];
    int length = snprintf(request, sizeof request, "%s /%s/acMetadata/v1%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", form ? "POST" : "GET", token, path, address);
    if (form)
        length += snprintf(request + length, sizeof request - (size_t)length,
                           "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s", strlen(form), form);
    else
        length += snprintf(request + length, sizeof request - (size_t)length, "\r\n");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || write(fd, request, (size_t)length) != length) {
        close(fd);
        return false;
    }
    size_t used = 0;
    for (ssize_t count; (count = read(fd, answer->bytes + used, sizeof answer->bytes - 1 - used)) > 0;) used += (size_t)count;
    close(fd);
    char *end = strstr(answer->bytes, "\r\n\r\n");
    if (end == NULL || sscanf(answer->bytes, "HTTP/1.1 %d", &answer->status) != 1) return false;
    *end = 0;
    answer->body = end + 4;
    char *type = strcasestr(answer->bytes, "\r\ncontent-type: ");
    if (type) sscanf(type + 16, "%127[^\r]", answer->type);
    return true;
}

static struct answer answer;

/* One endpoint; its body goes to /out for the test to look at. */
static void endpoint(const char *name, const char *path, const char *type) {
    bool good = ask(&answer, path, NULL) && answer.status == 200 && strcmp(answer.type, type) == 0;
    char check_name[64], file[128];
    snprintf(check_name, sizeof check_name, "metadata-%s", name);
    check(good, check_name, "status %d, type %s", answer.status, answer.type);
    snprintf(file, sizeof file, "/out/%s.%s", mode, name);
    put(file, answer.body, strlen(answer.body));
}

#define JSON "application/json"
#define TEXT "text/plain; charset=us-ascii"

static void metadata(const char *app) {
    endpoint("uuid", "/pod/uuid", TEXT);
    endpoint("annotations", "/pod/annotations", JSON);
    endpoint("manifest", "/pod/manifest", JSON);
    char path[128];
    snprintf(path, sizeof path, "/apps/%s/annotations", app);
    endpoint("app-annotations", path, JSON);
    snprintf(path, sizeof path, "/apps/%s/image/manifest", app);
    endpoint("image-manifest", path, JSON);
    snprintf(path, sizeof path, "/apps/%s/image/id", app);
    endpoint("image-id", path, TEXT);
}

/* Base64 in a form: + / and = have to be escaped. */
static void escape(char *to, const char *from) {
    for (; *from; from++)
        if (strchr("+/=", *from))
            to += sprintf(to, "%%%02X", *from);
        else
            *to++ = *from;
    *to = 0;
}

static void sign(void) {
    bool good = ask(&answer, "/pod/hmac/sign", "content=Old+MacDonald+%26+Co") && answer.status == 200 && strcmp(answer.type, TEXT) == 0;
    check(good && strlen(answer.body) == 88, "hmac-sign", "status %d, %zu characters of %s", answer.status, strlen(answer.body), answer.type);
    put("/db/signature", answer.body, strlen(answer.body));
}

static void verify(void) {
    char signature[256], escaped[1024], uuid[64], form[2048];
    check(wait_for("/db/signature"), "signature-arrives", "");
    get("/db/signature", signature, sizeof signature);
    escape(escaped, signature);
    ask(&answer, "/pod/uuid", NULL);
    snprintf(uuid, sizeof uuid, "%.63s", answer.body);
    snprintf(form, sizeof form, "content=Old+MacDonald+%%26+Co&uuid=%s&signature=%s", uuid, escaped);
    check(ask(&answer, "/pod/hmac/verify", form) && answer.status == 200 && strcmp(answer.type, TEXT) == 0, "hmac-verify", "status %d", answer.status);
    snprintf(form, sizeof form, "content=Somebody+else&uuid=%s&signature=%s", uuid, escaped);
    check(ask(&answer, "/pod/hmac/verify", form) && answer.status == 403, "hmac-refuses-content", "status %d", answer.status);
    snprintf(form, sizeof form, "content=Old+MacDonald+%%26+Co&uuid=00000000-0000-4000-8000-000000000000&signature=%s", escaped);
    check(ask(&answer, "/pod/hmac/verify", form) && answer.status == 403, "hmac-refuses-uuid", "status %d", answer.status);
}

/* MARK: main and sidekick share what pods.md says, and nothing else */

struct letter {
    long type;
    char text[16];
};

static int share(void) {
    int queue = msgget(QUEUE, IPC_CREAT | 0666);
    struct letter letter = {1, "from main"};
    check(queue >= 0 && msgsnd(queue, &letter, sizeof letter.text, IPC_NOWAIT) == 0, "ipc-send", "");
    mqd_t messages = mq_open("/conformance", O_CREAT | O_RDWR, 0666, &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 16});
    check(messages >= 0 && mq_send(messages, "from main", 10, 0) == 0, "mqueue-send", "");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    check(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0, "port-listen", "");
    char line[256];
    struct utsname name;
    uname(&name);
    int length = snprintf(line, sizeof line, "%d %s", (int)getpid(), name.nodename);
    put("/db/main", line, (size_t)length);
    return listener;
}

static void shared(void) {
    char line[256], host[128] = "";
    int pid = 0;
    check(wait_for("/db/main"), "main-arrives", "");
    get("/db/main", line, sizeof line);
    sscanf(line, "%d %127s", &pid, host);
    check(exists("/db/written-by-main"), "volume-shared", "");
    struct utsname name;
    uname(&name);
    check(strcmp(host, name.nodename) == 0, "uts-shared", "%s is not %s", host, name.nodename);
    check(pid > 0 && kill(pid, 0) == 0, "pid-shared", "process %d", pid);
    snprintf(line, sizeof line, "/proc/%d/stat", pid);
    check(exists(line), "pid-visible", "%s", line);
    struct letter letter;
    int queue = msgget(QUEUE, 0);
    check(queue >= 0 && msgrcv(queue, &letter, sizeof letter.text, 1, IPC_NOWAIT) > 0 && strcmp(letter.text, "from main") == 0, "ipc-shared", "");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "net-shared", "");
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno == EADDRINUSE, "ports-shared", "main's port is free");
    close(fd);
    char message[16] = "";
    mqd_t messages = mq_open("/conformance", O_RDONLY);
    check(messages >= 0 && mq_receive(messages, message, sizeof message, NULL) == 10 && strcmp(message, "from main") == 0, "mqueue-shared", "");
    check(!exists("/main"), "root-own", "main's root is here");
    check(!create("/x") && errno == EROFS, "root-read-only", "could write");
    check(create("/db/sidekick-writes"), "volume-writable", "");
    check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no-new-privileges", "not set");
}

static void capabilities(unsigned long long expected) {
    char text[8192];
    get("/proc/self/status", text, sizeof text);
    char *line = strstr(text, "\nCapBnd:");
    unsigned long long set = line ? strtoull(line + 8, NULL, 16) : 0;
    check(set == expected, "capabilities", "bounding set %llx", set);
}

int main(int count, char **words) {
    if (count != 2) return 64;
    mode = words[1];
    char path[64];
    snprintf(path, sizeof path, "/out/%.32s", mode);
    report = fopen(path, "w");
    if (report == NULL) {
        fprintf(stderr, "appc-probe: can't write %s: %s\n", path, strerror(errno));
        return 65;
    }
    printf("%s to stdout\n", mode);
    fflush(stdout);
    fprintf(stderr, "%s to stderr\n", mode);

    if (strcmp(mode, "pre-start") == 0) {
        surroundings("main");
        check(create("/prestart"), "clean-root", "an earlier run is here");
        check(!exists("/main") && !exists("/poststop"), "before-main", "");
        check(geteuid() == 0, "as-root", "user %u", geteuid());
    } else if (strcmp(mode, "main") == 0) {
        surroundings("main");
        check(exists("/prestart"), "after-pre-start", "no /prestart");
        check(create("/main"), "root-writable", "");
        check(!exists("/poststop"), "before-post-stop", "");
        linux_environment();
        volumes();
        metadata("main");
        sign();
        /* The fourteen of ace.md. */
        capabilities(0xa80425fb);
        int listener = share();
        check(wait_for("/db/sidekick"), "sidekick-arrives", "");
        close(listener);
    } else if (strcmp(mode, "sidekick") == 0) {
        surroundings("sidekick");
        linux_environment();
        shared();
        metadata("sidekick");
        verify();
        /* Of the fourteen all but CAP_SYS_CHROOT and CAP_MKNOD. */
        capabilities(0xa00025fb);
        put("/db/sidekick", "", 0);
    } else if (strcmp(mode, "post-stop") == 0) {
        surroundings("main");
        check(exists("/prestart") && exists("/main"), "after-main", "");
        check(create("/poststop"), "post-stop-once", "");
        check(geteuid() == 0, "as-root", "user %u", geteuid());
    } else {
        return 64;
    }
    check(true, "end", "");
    fclose(report);
    return failed;
}
