// SPDX-License-Identifier: Apache-2.0
//
// A container inside the guest: its root file system, mounts and name, and the way of other programs into it.

#pragma once

#include <linux/fs.h>

#include "agent-files.h"

#define BOX "/run/martlet/box"       // a tmpfs that only the container's own mount namespaces have
#define GROUPS "/sys/fs/cgroup/pod"  // NAME is a container's control group

/// The namespaces that a new container has for itself.
static unsigned long own_namespaces(const struct agent_request *request) {
    return CLONE_NEWNS | CLONE_NEWUTS | (request->shared & SHARES_PROCESSES ? 0 : CLONE_NEWPID) |
           (request->shared & SHARES_IPC ? 0 : CLONE_NEWIPC);
}

static __attribute__((noreturn)) void fail_in_child(int error, const char *what, const char *about);

/// Gives this process a mount namespace of its own, with the folder in which the container is built.
static int prepare_box(void) {
    int error = (int)CALL(unshare, CLONE_NEWNS, 0, 0, 0, 0);
    if (!error) error = mount_on(0, "/", 0, MS_REC | MS_PRIVATE, 0);
    if (!error) error = make_folder("/run/martlet");
    if (!error) error = make_folder(BOX);
    if (!error) error = mount_on("tmpfs", BOX, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
    static const char *const folders[] = {"base", "root", "files", "scratch", "nothing"};
    for (unsigned i = 0; i < sizeof folders / sizeof *folders && !error; i++) {
        char path[64] = BOX "/";
        append(path, sizeof path, folders[i]);
        error = make_folder(path);
    }
    return error;
}

/// Waits until a disk has its size: one that was given to a running machine may come a moment later.
static int wait_for_disk(const char *path) {
    uint64_t size = 0;
    int disk = -ENOENT;
    for (int tries = 0; tries < 200; tries++) {
        disk = sys_open(path, O_RDONLY | O_CLOEXEC);
        if (disk >= 0) {
            sys_ioctl(disk, BLKGETSIZE64, &size);
            sys_close(disk);
        }
        if (size) return 0;
        struct agent_time pause = {0, 25000000};
        CALL(nanosleep, &pause, 0, 0, 0, 0);
    }
    return disk < 0 ? disk : -ENXIO;
}

/// Options of ext4 for disks that Martlet makes: no thread that fills inode tables or reads the bitmaps of all groups before
/// anybody needs one, no list of where its own blocks are, no cache of attributes that files share, and no inodes read ahead.
#define QUICK_MOUNT "noblock_validity,no_prefetch_block_bitmaps,noinit_itable,no_mbcache,inode_readahead_blks=0"

/// Mounts the root: the base, which never changes, below what the container writes, on a disk or else in memory.
static void mount_root(const struct agent_request *request) {
    int error = wait_for_disk(request->base);
    if (!error) error = mount_on(request->base, BOX "/base", "ext4", MS_RDONLY, QUICK_MOUNT);
    if (error) fail_in_child(error, "cannot mount ", request->base);
    int has_disk = *request->scratch;
    if (has_disk) {
        error = wait_for_disk(request->scratch);
        if (!error) error = mount_on(request->scratch, BOX "/scratch", "ext4", 0, QUICK_MOUNT);
        if (error) fail_in_child(error, "cannot mount ", request->scratch);
    }
    error = make_folder(BOX "/scratch/upper");
    if (!error) error = make_folder(BOX "/scratch/work");
    // The upper folder is the root of what results: it has that one's owner and mode.
    struct stat status;
    if (!error) error = (int)CALL(stat, BOX "/base", &status, 0, 0, 0);
    if (!error) error = (int)CALL(chown, BOX "/scratch/upper", status.st_uid, status.st_gid, 0, 0);
    if (!error) error = (int)CALL(chmod, BOX "/scratch/upper", status.st_mode & 07777, 0, 0, 0);
    if (!error)
        error = mount_on("overlay", BOX "/root", "overlay", 0,
                         "lowerdir=" BOX "/base,upperdir=" BOX "/scratch/upper,workdir=" BOX "/scratch/work");
    if (error) fail_in_child(error, "cannot mount the container's root", "");
}

/// Makes the file or folder that something is mounted on, with all folders above it.
static int open_target(int root, const char *target, int is_folder) {
    char path[4096];
    size_t n = 0;
    int result = -EINVAL, parent = open_at(root, ".", O_PATH, 0);
    for (const char *p = target; *p;) {
        while (*p == '/') p++;
        const char *component = p;
        if (n) path[n++] = '/';
        for (; *p && *p != '/'; p++) {
            if (n >= sizeof path - 2) return -ENAMETOOLONG;
            path[n++] = *p;
        }
        path[n] = 0;
        while (*p == '/') p++;
        if (!*component) break;
        result = open_in_root(root, path, O_PATH);
        if (result == -ENOENT) {
            const char *name = path;
            for (const char *slash = path; *slash; slash++)
                if (*slash == '/') name = slash + 1;
            int error;
            if (*p || is_folder) error = (int)CALL(mkdirat, parent, name, 0755, 0, 0);
            else {
                error = open_at(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
                if (error >= 0) sys_close(error), error = 0;
            }
            result = error ? error : open_in_root(root, path, O_PATH);
        }
        sys_close(parent);
        if (result < 0) return result;
        parent = result;
    }
    return result;
}

/// Makes a path of the container read-only, or hides it behind an empty folder or the null device. One that is not there needs neither.
static void protect_path(int root, const struct agent_mount *mount) {
    int path = open_in_root(root, mount->target, O_PATH);
    if (path == -ENOENT || path == -ENOTDIR) return;
    struct stat status = {0};
    int error = path < 0 ? path : (int)CALL(fstat, path, &status, 0, 0, 0);
    int from = path;
    if (!error && mount->flags == PATH_MASKED)
        from = open_at(HERE, (status.st_mode & TYPE_MASK) == TYPE_FOLDER ? BOX "/nothing" : "/dev/null", O_PATH, 0);
    if (!error) error = from < 0 ? from : 0;
    // A mount of its own that is read-only before anything can use it.
    int copy = error ? error : (int)CALL(open_tree, from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | ALL_BELOW | ITSELF, 0, 0);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (copy >= 0) error = (int)CALL(mount_setattr, copy, "", ITSELF | ALL_BELOW, &attributes, sizeof attributes);
    else error = copy;
    if (!error) error = (int)CALL(move_mount, copy, "", path, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (error) fail_in_child(error, "cannot protect ", mount->target);
    if (from != path) sys_close(from);
    sys_close(copy), sys_close(path);
}

static void mount_one(int root, const struct agent_mount *mount, unsigned *stage) {
    char source[64], target[64];
    struct stat status = {.st_mode = TYPE_FOLDER};
    const char *from = mount->source;
    uint64_t flags = mount->flags;
    if (mount->kind == MOUNT_STAGE) {
        from = number_path(source, sizeof source, BOX "/files/", *stage, "");
        ++*stage;
        int error = (int)CALL(stat, from, &status, 0, 0, 0);
        if (error) fail_in_child(error, "no files came for ", mount->target);
        flags = MS_BIND | (mount->flags & STAGE_READ_ONLY ? MS_RDONLY : 0);
    } else if (flags & MS_BIND && CALL(stat, from, &status, 0, 0, 0) != 0) {
        status.st_mode = TYPE_FOLDER;
    }
    int folder = open_target(root, mount->target, (status.st_mode & TYPE_MASK) == TYPE_FOLDER);
    if (folder < 0) fail_in_child(folder, "cannot make ", mount->target);
    number_path(target, sizeof target, "/proc/self/fd/", folder, "");
    int error = mount_on(from, target, mount->type, flags, mount->data);
    if (error) fail_in_child(error, "cannot mount ", mount->target);
    sys_close(folder);
    // The kernel takes no other flags with MS_BIND: they need a second call, on what lies there now.
    if (flags & MS_BIND && flags & ~(uint64_t)(MS_BIND | MS_REC)) {
        folder = open_in_root(root, mount->target, O_PATH);
        if (folder < 0) fail_in_child(folder, "cannot open ", mount->target);
        number_path(target, sizeof target, "/proc/self/fd/", folder, "");
        error = mount_on(0, target, 0, (flags & ~(uint64_t)MS_REC) | MS_REMOUNT, 0);
        if (error) fail_in_child(error, "cannot mount ", mount->target);
        sys_close(folder);
    }
}

/// The devices and links that every container has in /dev.
static void fill_dev(int root) {
    static const struct {
        const char *name;
        uint16_t major, minor;
    } devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};
    int dev = open_target(root, "dev", 1);
    if (dev < 0) fail_in_child(dev, "cannot make /dev", "");
    unsigned long old = (unsigned long)CALL(umask, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        CALL(mknodat, dev, devices[i].name, 020666, devices[i].major << 8 | devices[i].minor, 0);
    CALL(umask, old, 0, 0, 0, 0);
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
        CALL(symlinkat, links[i][0], dev, links[i][1], 0, 0);
    sys_close(dev);
}

static void write_setting(const char *name, const char *value) {
    char path[300] = "/proc/sys/";
    append(path, sizeof path, name);
    for (char *p = path + 10; *p; p++)
        if (*p == '.') *p = '/';
    int file = sys_open(path, O_WRONLY | O_CLOEXEC);
    long n = file < 0 ? file : sys_write(file, value, length(value));
    if (n < 0) fail_in_child((int)n, "cannot set ", name);
    sys_close(file);
}

/// Builds the container around this process, which is the first in its namespaces.
static void enter_new_container(const struct agent_request *request) {
    mount_root(request);
    int root = open_at(HERE, BOX "/root", O_PATH | O_DIRECTORY, 0);
    if (root < 0) fail_in_child(root, "cannot open the container's root", "");
    unsigned stage = 0;
    for (unsigned i = 0; i < request->mount_count; i++)
        if (request->mounts[i].kind != MOUNT_PATH) mount_one(root, &request->mounts[i], &stage);
    fill_dev(root);
    for (unsigned i = 0; i < request->mount_count; i++)
        if (request->mounts[i].kind == MOUNT_PATH) protect_path(root, &request->mounts[i]);
    for (unsigned i = 0; i < request->setting_count; i++) write_setting(request->settings[i][0], request->settings[i][1]);
    if (request->options & OPTION_READ_ONLY_ROOT) {
        int error = mount_on(0, BOX "/root", 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0);
        if (error) fail_in_child(error, "cannot make the root read-only", "");
    }
    if (request->host_name && *request->host_name)
        CALL(sethostname, request->host_name, length(request->host_name), 0, 0, 0);
    if (request->domain_name && *request->domain_name)
        CALL(setdomainname, request->domain_name, length(request->domain_name), 0, 0, 0);
    // An initramfs is the root of all mounts and cannot be pivoted away: the new root is moved over it instead. What lies
    // beneath is out of reach for whoever cannot leave this root.
    int error = (int)CALL(fchdir, root, 0, 0, 0, 0);
    sys_close(root);
    if (!error) {
        error = (int)CALL(pivot_root, ".", ".", 0, 0, 0);
        if (!error) error = (int)CALL(umount2, ".", 2 /* MNT_DETACH */, 0, 0, 0);
        else {
            error = mount_on(".", "/", 0, MS_MOVE, 0);
            if (!error) error = (int)CALL(chroot, ".", 0, 0, 0, 0);
        }
    }
    if (!error) error = (int)CALL(chdir, "/", 0, 0, 0, 0);
    if (error) fail_in_child(error, "cannot enter the container's root", "");
}

// MARK: - Control groups

static const char *group_file(char path[128], const char *name, const char *file) {
    path[0] = 0;
    append(path, 128, GROUPS "/"), append(path, 128, name), append(path, 128, file);
    return path;
}
/// The control group of a container, for programs that begin in it.
static int open_group(const char *name) {
    char path[128];
    int group = open_at(HERE, group_file(path, name, ""), O_PATH | O_DIRECTORY, 0);
    if (group < 0) fail(group, "cannot open the control group of ", name);
    return group;
}
static int limit_group(const char *name, const char *file, uint64_t limit, uint64_t period) {
    char path[128], text[48] = "", number[24];
    if (!limit) return 0;
    append(text, sizeof text, decimal((long)limit, number));
    if (period) append(text, sizeof text, " "), append(text, sizeof text, decimal((long)period, number));
    return write_text(group_file(path, name, file), text);
}
/// Makes the control group of a container, with its limits.
static void make_group(const char *name, const struct agent_group *limits) {
    static const char *const controllers = "+memory +pids +cpu";
    char path[128];
    int error = write_text("/sys/fs/cgroup/cgroup.subtree_control", controllers);
    if (!error) error = make_folder(GROUPS);
    if (!error) error = write_text(GROUPS "/cgroup.subtree_control", controllers);
    if (!error) error = make_folder(group_file(path, name, ""));
    if (!error) error = limit_group(name, "/memory.max", limits->memory, 0);
    if (!error) error = limit_group(name, "/pids.max", limits->processes, 0);
    if (!error) error = limit_group(name, "/cpu.max", limits->quota, limits->period ? limits->period : 100000);
    if (error) fail(error, "cannot make the control group of ", name);
}
/// Ends whatever a container has left behind, and its control group.
static void remove_group(const char *name) {
    char path[128];
    if (write_text(group_file(path, name, "/cgroup.kill"), "1")) return;
    for (int tries = 0; tries < 200 && CALL(rmdir, group_file(path, name, ""), 0, 0, 0, 0) == -EBUSY; tries++) {
        struct agent_time pause = {0, 10000000};
        CALL(nanosleep, &pause, 0, 0, 0, 0);
    }
}

// MARK: - Containers that are there

enum { CONNECTIONS = 128 };

/// One process of the agent, with its connection and the container that it has made. All processes of the agent share these slots.
static struct agent_slot {
    int process, connection;      // 0 for no process
    int container;                // the container's first process; 0 for none
    int has_group;
    int is_passed_on, goes_on;    // another process is to run the program; this is that one
    char name[65];                // the container's
    struct agent_memory *memory;  // of `process`, and of the next one
} slots[CONNECTIONS];
static __thread struct agent_slot *own_slot;

static void remember_container(const struct agent_request *request, int process) {
    own_slot->name[0] = 0;
    append(own_slot->name, sizeof own_slot->name, request->container);
    own_slot->has_group = (int)request->is_in_pod;
    __atomic_store_n(&own_slot->container, process, __ATOMIC_RELEASE);
}
static void forget_container(void) { __atomic_store_n(&own_slot->container, 0, __ATOMIC_RELEASE); }

/// The slot of a running container; null for none.
static const struct agent_slot *find_container(const char *name) {
    for (struct agent_slot *slot = slots; slot < slots + CONNECTIONS; slot++) {
        int process = __atomic_load_n(&slot->container, __ATOMIC_ACQUIRE);
        if (process && equal(slot->name, name) && CALL(kill, process, 0, 0, 0, 0) == 0) return slot;
    }
    return 0;
}

/// The container that a request names; null where it may be missing, and is. Fails where it must be there.
static const struct agent_slot *named_container(const struct agent_request *request) {
    const struct agent_slot *container = find_container(request->container);
    if (!container && request->place != PLACE_CONTAINER_IF_THERE) fail(-ESRCH, "no such container: ", request->container);
    return container;
}

/// Puts this process into namespaces of a container. A pidfd of the container's first process; fails where that has ended.
static int enter_container(const struct agent_slot *container, int namespaces) {
    int target = (int)CALL(pidfd_open, container->container, 0, 0, 0, 0);
    int error = target < 0 ? target : (int)CALL(setns, target, namespaces, 0, 0, 0);
    if (error) fail(error, "cannot enter the container ", container->name);
    return target;
}

/// The place where children of this process begin: a container's first process, whose process namespace is theirs, and a pidfd of
/// it. 0 for the guest itself.
static __thread struct {
    int process, file;
} children;

/// Lets children of this process begin in the process namespace of a container, or of the guest where that is null. This process stays
/// where it is, and holds nothing of the container that would outlive it.
static void place_children(const struct agent_slot *container) {
    static const struct agent_slot guest = {.container = 1, .name = "of the guest"};
    int process = container ? __atomic_load_n(&container->container, __ATOMIC_ACQUIRE) : 0;
    // A container of the same number may be another one.
    if (process == children.process && (!process || CALL(pidfd_send_signal, children.file, 0, 0, 0, 0) == 0)) return;
    if (children.process) sys_close(children.file);
    children.process = 0;
    children.file = enter_container(container ? container : &guest, CLONE_NEWPID);
    if (container) children.process = process;
    else sys_close(children.file);
}
