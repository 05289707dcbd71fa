// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// MARK: - A process in namespaces

int chost_jail_namespaces(int shares_network) {
    int own = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    if (!shares_network) own |= CLONE_NEWNET;
    // Without rights, a process gets those that it needs for the others in a user namespace.
    return geteuid() == 0 ? own : own | CLONE_NEWUSER;
}

void chost_jail_maps(struct chost_jail_maps *maps) {
    snprintf(maps->user, sizeof maps->user, "%u %u 1", geteuid(), geteuid());
    snprintf(maps->group, sizeof maps->group, "%u %u 1", getegid(), getegid());
}

static int write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    int result = write(file, text, strlen(text)) < 0 ? -errno : 0;
    close(file);
    return result;
}

int chost_jail_begin(int namespaces, const struct chost_jail_maps *maps) {
    if (!(namespaces & CLONE_NEWUSER)) return 0;
    int result = write_file("/proc/self/setgroups", "deny");
    if (result == 0) result = write_file("/proc/self/uid_map", maps->user);
    if (result == 0) result = write_file("/proc/self/gid_map", maps->group);
    if (result < 0) return result;
    // The program that comes by exec keeps this one alone, and drops it when it has made its root.
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = 1 << CAP_SYS_ADMIN, .permitted = 1 << CAP_SYS_ADMIN,
                                              .inheritable = 1 << CAP_SYS_ADMIN}};
    if (syscall(SYS_capset, &header, data) < 0) return -errno;
    return chost_result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}

pid_t chost_fork_into(int namespaces) {
    return (pid_t)syscall(SYS_clone, (unsigned long)(namespaces | SIGCHLD), NULL, NULL, NULL, NULL);
}

int chost_jail_try(void) {
    struct chost_jail_maps maps;
    int namespaces = chost_jail_namespaces(0), status;
    chost_jail_maps(&maps);
    pid_t child = chost_fork_into(namespaces);
    if (child < 0) return -errno;
    if (child == 0) {
        int result = chost_jail_begin(namespaces, &maps);
        if (result == 0) result = chost_result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
        _exit(-result & 0xff);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

// MARK: - The root

// Newer than the headers of some hosts: open_tree(2), move_mount(2), mount_setattr(2).
enum { OPEN_TREE = 428, MOVE_MOUNT = 429, SET_MOUNT_ATTRIBUTES = 442 };
enum { TREE_CLONE = 1, RECURSIVE = 0x8000, FROM_EMPTY_PATH = 4, NO_SUID_DEVICES_PROGRAMS = 2 | 4 | 8 };
enum { FOLDER_LIMIT = 4 };

static int make_folders(char *path) {
    for (char *end = path + 1;; end++) {
        if (*end != '/' && *end != 0) continue;
        char last = *end;
        *end = 0;
        // Whatever the umask is.
        int result = mkdir(path, 0755) == 0 ? chmod(path, 0755) : errno == EEXIST ? 0 : -1;
        *end = last;
        if (result < 0) return -errno;
        if (last == 0) return 0;
    }
}

static int take_folder(const char *path) {
    // With what is mounted in it: nothing may come to light that a mount covers.
    int tree = (int)syscall(OPEN_TREE, AT_FDCWD, path, TREE_CLONE | RECURSIVE | O_CLOEXEC);
    if (tree < 0) return -errno;
    struct { uint64_t set, clear, propagation, namespace; } attributes = {.set = NO_SUID_DEVICES_PROGRAMS};
    // Before Linux 5.12 they stay as they are.
    syscall(SET_MOUNT_ATTRIBUTES, tree, "", AT_EMPTY_PATH | RECURSIVE, &attributes, sizeof attributes);
    return tree;
}

static int put_folder(int tree, const char *path) {
    char place[PATH_MAX];
    // Below the working folder, which is the new root.
    if (snprintf(place, sizeof place, ".%s", path) >= (int)sizeof place) return -ENAMETOOLONG;
    int result = make_folders(place);
    if (result < 0) return result;
    return chost_result((int)syscall(MOVE_MOUNT, tree, "", AT_FDCWD, place, FROM_EMPTY_PATH));
}

int chost_jail_enter(char *const *folders, int count) {
    const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    int trees[FOLDER_LIMIT], result = 0;
    // Else this would be the root of other processes.
    if (getpid() != 1 || count < 1 || count > FOLDER_LIMIT) return -EPERM;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -errno;
    for (int i = 0; i < count; i++) {
        trees[i] = take_folder(folders[i]);
        if (trees[i] < 0) return trees[i];
    }
    if (mount("martlet", folders[0], "tmpfs", plain, "size=1m,nr_inodes=512,mode=755") < 0) return -errno;
    if (chdir(folders[0]) < 0) return -errno;
    for (int i = 0; i < count && result == 0; i++) {
        result = put_folder(trees[i], folders[i]);
        close(trees[i]);
    }
    if (result < 0) return result;
    if (mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | plain, NULL) < 0) return -errno;
    // The old root lies on the new one then, and goes.
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) return -errno;
    return chost_result(chdir("/"));
}
