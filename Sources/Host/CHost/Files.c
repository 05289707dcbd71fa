// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int chost_unnamed_file(const char *folder) {
    return chost_result(open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

int chost_memory_file(const char *name) { return chost_result(memfd_create(name, MFD_CLOEXEC)); }

// The descriptor behind a path of /proc/self/fd, where there is no /proc, in a jail, or Landlock forbids to open it again.
static int own_descriptor(const char *path) {
    int descriptor;
    char rest;
    return (errno == ENOENT || errno == EACCES) && sscanf(path, "/proc/self/fd/%d%c", &descriptor, &rest) == 1 ? descriptor : -1;
}

int chost_open_again(const char *path, int flags) {
    int file = open(path, flags);
    if (file >= 0) return file;
    int own = own_descriptor(path);
    if (own < 0) return -errno;
    int mode = fcntl(own, F_GETFL) & O_ACCMODE;
    if (mode != O_RDWR && mode != (flags & O_ACCMODE)) return -EACCES;
    return chost_result(fcntl(own, F_DUPFD_CLOEXEC, 0));
}

int chost_stat_again(const char *path, void *status) {
    if (stat(path, status) == 0) return 0;
    int own = own_descriptor(path);
    return own < 0 ? -errno : chost_result(fstat(own, status));
}

int chost_name_file(int file, const char *path) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", file);
    return chost_result(linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

int chost_rename_new(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    // Network file systems lack the flag: a second name does not replace anything either.
    if (errno != EINVAL && errno != ENOSYS) return -errno;
    if (link(from, to) < 0) return -errno;
    return chost_result(unlink(from));
}

int chost_exchange(const char *one, const char *other) {
    return chost_result(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

int chost_try_lock(int file) { return chost_result(flock(file, LOCK_EX | LOCK_NB)); }

int chost_reserve(int file, long count) { return chost_result(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, count)); }

int chost_clone(int to, int from) { return chost_result(ioctl(to, FICLONE, from)); }

static ssize_t copy_by_buffer(int from, off_t source, int to, off_t target, size_t count) {
    char buffer[64 * 1024];
    ssize_t got = pread(from, buffer, count < sizeof buffer ? count : sizeof buffer, source);
    ssize_t done = got <= 0 ? got : pwrite(to, buffer, (size_t)got, target);
    return done < 0 ? -errno : done;
}

ssize_t chost_copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, size_t count) {
    loff_t source = (loff_t)from_offset, target = (loff_t)to_offset;
    ssize_t copied = copy_file_range(from, &source, to, &target, count, 0);
    if (copied > 0) return copied;
    // File systems and kernels refuse pairs of files in many ways (EXDEV between file systems, EINVAL, EOPNOTSUPP, ENOSYS,
    // EPERM under a seccomp profile), and some report 0 bytes although there are more: copy_file_range(2), BUGS. A plain
    // copy reports the real end of the file and the real error.
    return copy_by_buffer(from, (off_t)from_offset, to, (off_t)to_offset, count);
}

int chost_is_in_memory(const char *path) {
    struct statfs system;
    if (statfs(path, &system) < 0) return -errno;
    return system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
}

unsigned chost_device_major(unsigned long device) { return major(device); }
unsigned chost_device_minor(unsigned long device) { return minor(device); }
