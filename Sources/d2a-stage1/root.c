/* The pod's root file system. Whatever the image holds, no path of it leads a mount or a write outside: all paths are
 * resolved by openat2 inside the new root, and mounts are made on descriptors. */
#define _GNU_SOURCE
#include "stage1.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int root = -1;
/* The user namespace whose users own the pod's files, as numbers that begin here; none where it is below 0. */
static int users = -1;
static uid_t first_user;
/* Whether they own the pod's files by how those are mounted, and not on disk too. */
static bool shifts_mounts;

static int open_inside(int directory, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    return (int)syscall(SYS_openat2, directory, path[0] ? path : ".", &how, sizeof how);
}

/* mount(2), on and from descriptors. A source below zero means none. */
static int mount_on(int target, const char *source, int source_fd, const char *type, unsigned long flags, const char *data) {
    char from[32], to[32];
    snprintf(from, sizeof from, "/proc/self/fd/%d", source_fd);
    snprintf(to, sizeof to, "/proc/self/fd/%d", target);
    return mount(source_fd >= 0 ? from : source, to, type, flags, data);
}

/* Opens the directory that is to hold the last component of path, making what is missing on the way. */
static int open_parent(const char *path, const char **last) {
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof copy) {
        errno = ENAMETOOLONG;
        fail("can't reach %s", path);
    }
    const char *slash = strrchr(path, '/');
    *last = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;
    memcpy(copy, path, length);
    copy[length] = 0;
    int parent = open_inside(root, copy, O_PATH | O_DIRECTORY, 0);
    if (parent >= 0) return parent;
    if (errno != ENOENT || length == 0) fail("can't reach %s in the image", copy);
    const char *name;
    int above = open_parent(copy, &name);
    if (mkdirat(above, name, 0755) != 0 && errno != EEXIST) fail("can't make %s in the pod", copy);
    close(above);
    parent = open_inside(root, copy, O_PATH | O_DIRECTORY, 0);
    if (parent < 0) fail("can't reach %s in the image", copy);
    return parent;
}

static void make_directory(const char *path, mode_t mode) {
    const char *name;
    int parent = open_parent(path, &name);
    if (mkdirat(parent, name, mode) == 0)
        fchmodat(parent, name, mode, 0); /* whatever the umask was */
    else if (errno != EEXIST)
        fail("can't make %s in the pod", path);
    close(parent);
}

/* From here on what this process makes is the pod's, whose root has another number outside. All rights stay. */
static void step_users(int namespace, uid_t first, bool on_disk) {
    users = namespace;
    shifts_mounts = !on_disk;
    first_user = first;
    setfsgid(first);
    setfsuid(first);
    set_capabilities(own_capabilities(), 0);
}

/* A mount of a directory, nowhere yet, in which files show as the pod's users' that belong to those of the same number outside. */
static int shifted(const char *path) {
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)users};
    if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
        fail_as("shift", EXIT_SETUP, "can't show %s to the pod's users", path);
    return tree;
}

static void mount_shifted(const char *source, int target) {
    int tree = shifted(source);
    if (syscall(SYS_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) fail("can't mount %s", source);
    close(tree);
}

/* The root is a rendered tree below a layer of the pod's own or, without a tree, a directory of the pod's own.
 * places: a tree of what is to be mounted on, for where the image lacks it.
 * layer: the directory that has the layer, and the one that the kernel works in. */
static void step_root(const char *path, const char *tree, const char *places, const char *layer, const char *more) {
    if (tree[0] != 0) {
        char options[4 * PATH_MAX], names[3][32];
        const char *paths[3] = {tree, places, layer};
        int trees[3] = {-1, -1, -1};
        for (int index = 0; shifts_mounts && index < 3; index++) {
            trees[index] = shifted(paths[index]);
            snprintf(names[index], sizeof names[index], "/proc/self/fd/%d", trees[index]);
            paths[index] = names[index];
        }
        snprintf(options, sizeof options, "lowerdir=%s:%s,upperdir=%s/upper,workdir=%s/work%s", paths[0], paths[1], paths[2], paths[2], more);
        if (mount("overlay", path, "overlay", 0, options) != 0) fail_as("overlay", EXIT_SETUP, "can't mount an overlay for the pod");
        for (int index = 0; index < 3; index++) close(trees[index]);
    } else if (shifts_mounts) {
        int target = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        mount_shifted(path, target);
        close(target);
    } else if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) != 0) {
        fail("can't mount the pod's root");
    }
    root = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0) fail("can't open the pod's root");
}

static void set_flags(int mounted, unsigned long flags, bool recursive, const char *path);

/* What a user namespace can't have as root has it, and does well enough: the host's /sys, where the network is the host's, and
 * terminals that belong to no group. */
static bool mount_otherwise(int target, const char *type, const char *path, unsigned long flags) {
    if (strcmp(type, "devpts") == 0 && errno == EINVAL)
        return mount_on(target, type, -1, type, flags, "newinstance,ptmxmode=0666,mode=0620") == 0;
    if (strcmp(type, "sysfs") != 0 || errno != EPERM || mount_on(target, "/sys", -1, NULL, MS_BIND | MS_REC, NULL) != 0) return false;
    int mounted = open_inside(root, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (mounted < 0) return false;
    set_flags(mounted, flags, true, path);
    close(mounted);
    return true;
}

/* A file system of the kernel's, which only a true directory may carry: a link would put it somewhere else. */
static void step_mount(struct plan *plan) {
    const char *type = plan_need(plan);
    const char *path = plan_need(plan);
    unsigned long flags = (unsigned long)plan_number(plan);
    const char *data = plan_need(plan);
    make_directory(path, 0755);
    int target = open_inside(root, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (target < 0) fail("can't mount %s: %s of the image must be a directory", type, path);
    if (mount_on(target, type, -1, type, flags, data) != 0 && !mount_otherwise(target, type, path, flags)) fail("can't mount %s on %s", type, path);
    close(target);
}

/* Sets flags of a mount, and of those below it, and clears none that are there. */
static void set_flags(int mounted, unsigned long flags, bool recursive, const char *path) {
    struct mount_attr attributes = {0};
    if (flags & MS_RDONLY) attributes.attr_set |= MOUNT_ATTR_RDONLY;
    if (flags & MS_NOSUID) attributes.attr_set |= MOUNT_ATTR_NOSUID;
    if (flags & MS_NODEV) attributes.attr_set |= MOUNT_ATTR_NODEV;
    if (flags & MS_NOEXEC) attributes.attr_set |= MOUNT_ATTR_NOEXEC;
    unsigned at = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    if (syscall(SYS_mount_setattr, mounted, "", at, &attributes, sizeof attributes) != 0) fail("can't set the options of the mount on %s", path);
}

/* Opens the place where something of the host's is to be mounted; it is made where it is missing, a directory for a directory. */
static int mount_point(const char *source, const char *path) {
    struct stat status;
    if (stat(source, &status) != 0) fail("can't find %s", source);
    int target = open_inside(root, path, O_PATH, 0);
    struct stat there;
    if (target >= 0 && S_ISDIR(status.st_mode) && fstat(target, &there) == 0 && !S_ISDIR(there.st_mode)) {
        /* A file of the image's where a directory is to be gives way, in the pod's layer (appc spec ace.md#volume-setup). */
        const char *name;
        int parent = open_parent(path, &name);
        if (unlinkat(parent, name, 0) != 0) fail("can't replace %s by a directory", path);
        close(parent);
        close(target);
        target = -1;
        errno = ENOENT;
    }
    if (target < 0 && errno == ENOENT) {
        if (S_ISDIR(status.st_mode)) {
            make_directory(path, 0755);
        } else {
            const char *name;
            int parent = open_parent(path, &name);
            /* A link that leads nowhere, as to a resolv.conf in /run, gives way: in the pod's layer, not in the image. */
            unlinkat(parent, name, 0);
            int file = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
            if (file < 0) fail("can't make %s in the pod", path);
            close(file);
            close(parent);
        }
        target = open_inside(root, path, O_PATH, 0);
    }
    if (target < 0) fail("can't reach %s in the image", path);
    return target;
}

/* Something of the host's, or the pod's own, at a path of the app's. */
static void step_bind(struct plan *plan) {
    const char *source = plan_need(plan);
    const char *path = plan_need(plan);
    bool recursive = plan_number(plan) != 0;
    bool is_pods = plan_number(plan) != 0;
    unsigned long flags = (unsigned long)plan_number(plan);
    int target = mount_point(source, path);
    if (is_pods && shifts_mounts)
        mount_shifted(source, target);
    else if (mount_on(target, source, -1, NULL, MS_BIND | (recursive ? MS_REC : 0), NULL) != 0) fail("can't mount %s on %s", source, path);
    close(target);
    if (flags == 0) return;
    target = open_inside(root, path, O_PATH, 0);
    if (target < 0) fail("can't reach %s in the image", path);
    set_flags(target, flags, recursive, path);
    close(target);
}

/* Flags of a mount that is there. */
static void step_flags(struct plan *plan) {
    const char *path = plan_need(plan);
    unsigned long flags = (unsigned long)plan_number(plan);
    int mounted = open_inside(root, path, O_PATH, RESOLVE_NO_SYMLINKS);
    if (mounted < 0) fail("can't reach %s in the image", path);
    set_flags(mounted, flags, false, path);
    close(mounted);
}

static void step_device(struct plan *plan) {
    const char *path = plan_need(plan);
    unsigned major = (unsigned)plan_number(plan), minor = (unsigned)plan_number(plan);
    const char *name;
    int parent = open_parent(path, &name);
    if (mknodat(parent, name, S_IFCHR | 0666, makedev(major, minor)) == 0) {
        /* A mount of its own, so that it works where devices otherwise don't. */
        int device = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (device < 0 || fchmodat(parent, name, 0666, 0) != 0 || mount_on(device, NULL, device, NULL, MS_BIND, NULL) != 0) fail("can't make the device %s", path);
        close(device);
    } else {
        /* A user namespace has no devices of its own: the host's will do. */
        int file = errno == EPERM ? openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666) : -1;
        const char *source = strcmp(name, "console") == 0 ? "/dev/null" : path;
        if (file < 0 || mount_on(file, source, -1, NULL, MS_BIND, NULL) != 0) fail("can't make the device %s", path);
        close(file);
    }
    close(parent);
}

static void step_link(struct plan *plan) {
    const char *path = plan_need(plan);
    const char *target = plan_need(plan);
    const char *name;
    int parent = open_parent(path, &name);
    if (symlinkat(target, parent, name) != 0 && errno != EEXIST) fail("can't make the link %s", path);
    close(parent);
}

/* Hides what the kernel shows at a path; what this kernel doesn't have needs no hiding. */
static void step_mask(const char *path) {
    int target = open_inside(root, path, O_PATH, RESOLVE_NO_SYMLINKS);
    if (target < 0) return;
    struct stat status;
    int failed;
    if (fstat(target, &status) == 0 && S_ISDIR(status.st_mode)) {
        failed = mount_on(target, "tmpfs", -1, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=2");
    } else {
        /* The pod's own device: a change of its mode must not reach the host's. */
        int null = open_inside(root, "/dev/null", O_PATH, RESOLVE_NO_SYMLINKS);
        failed = null < 0 || mount_on(target, NULL, null, NULL, MS_BIND, NULL) != 0;
        close(null);
    }
    if (failed != 0) fail("can't hide %s", path);
    close(target);
}

static void step_read_only(const char *path) {
    for (int pass = 0; pass < 2; pass++) {
        int target = open_inside(root, path, O_PATH, RESOLVE_NO_SYMLINKS);
        if (target < 0) return;
        unsigned long flags = pass == 0 ? MS_BIND | MS_REC : MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
        if (mount_on(target, NULL, pass == 0 ? target : -1, NULL, flags, NULL) != 0) fail("can't make %s read-only", path);
        close(target);
    }
}

/* From here on the host's files are out of reach. */
static void step_pivot(void) {
    if (fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) fail("can't change the root");
    if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) fail("can't leave the old root");
    close(root);
    close(DATA_FD);
}

void leave_host(void) {
    if (mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=2") != 0) fail("can't make an empty root");
    if (chdir("/proc") != 0 || syscall(SYS_pivot_root, ".", ".") != 0) fail("can't change the root");
    if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) fail("can't leave the old root");
}

/* For a runtime that is to make the app's root itself: it must see the pod's processes as they are numbered here. */
static void step_proc(void) {
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) fail("can't mount the pod's /proc");
}

bool root_step(const char *step, struct plan *plan) {
    if (strcmp(step, "root") == 0) {
        const char *path = plan_need(plan), *tree = plan_need(plan), *places = plan_need(plan), *layer = plan_need(plan);
        step_root(path, tree, places, layer, plan_need(plan));
    } else if (strcmp(step, "users") == 0) {
        int namespace = (int)plan_number(plan);
        uid_t first = (uid_t)plan_number(plan);
        step_users(namespace, first, plan_number(plan) != 0);
    } else if (strcmp(step, "mount") == 0) {
        step_mount(plan);
    } else if (strcmp(step, "bind") == 0) {
        step_bind(plan);
    } else if (strcmp(step, "mount-point") == 0) {
        const char *source = plan_need(plan);
        close(mount_point(source, plan_need(plan)));
    } else if (strcmp(step, "make-directory") == 0) {
        const char *path = plan_need(plan);
        make_directory(path, (mode_t)plan_number(plan));
    } else if (strcmp(step, "proc") == 0) {
        step_proc();
    } else if (strcmp(step, "detach") == 0) {
        const char *path = plan_need(plan);
        if (umount2(path, MNT_DETACH) != 0) fail("can't detach %s", path);
    } else if (strcmp(step, "device") == 0) {
        step_device(plan);
    } else if (strcmp(step, "link") == 0) {
        step_link(plan);
    } else if (strcmp(step, "mask") == 0) {
        step_mask(plan_need(plan));
    } else if (strcmp(step, "read-only") == 0) {
        step_read_only(plan_need(plan));
    } else if (strcmp(step, "flags") == 0) {
        step_flags(plan);
    } else if (strcmp(step, "pivot") == 0) {
        step_pivot();
    } else {
        return false;
    }
    return true;
}

void enter_users(void) {
    if (users < 0) return;
    if (setns(users, CLONE_NEWUSER) != 0) fail("can't enter the pod's user namespace");
    users = -1;
}

/* A terminal in the pod's own devpts. d2a gets the master side. */
int new_terminal(uid_t owner, unsigned *number) {
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int unlock = 0;
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCGPTN, number) != 0) fail("can't make a terminal");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || fchown(slave, first_user + owner, (gid_t)-1) != 0) fail("can't make a terminal");
    report_terminal(master);
    close(master);
    return slave;
}

int root_terminal(uid_t owner) {
    unsigned number;
    char path[32];
    int slave = new_terminal(owner, &number);
    snprintf(path, sizeof path, "/dev/pts/%u", number);
    if (mount(path, "/dev/console", NULL, MS_BIND, NULL) != 0) fail("can't mount the terminal on /dev/console");
    return slave;
}
