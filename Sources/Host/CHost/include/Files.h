// SPDX-License-Identifier: Apache-2.0
//
// Calls on files that the Glibc module does not show to Swift. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOST_FILES_H
#define MARTLET_CHOST_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// Opens a new file without a name in `folder`, for reading and writing (O_TMPFILE).
int chost_unnamed_file(const char *folder);
/// Opens a new file of memory (memfd_create(2)); its name shows in /proc.
int chost_memory_file(const char *name);
/// Opens a file (open(2)). For a path of `/proc/self/fd` in a root without /proc, the result is a duplicate of the descriptor.
int chost_open_again(const char *path, int flags);
/// Looks at a file (stat(2)), by the same paths as `chost_open_again`; `status` is a `struct stat`, which is Glibc's to show to Swift.
int chost_stat_again(const char *path, void *status);
/// Gives a file of `chost_unnamed_file` a name; -EEXIST where the name is taken.
int chost_name_file(int file, const char *path);
/// Renames a file; -EEXIST where the new name is taken.
int chost_rename_new(const char *from, const char *to);
/// Indicates whether the file system of a path is in memory (tmpfs, ramfs): 1 or 0, or -errno.
int chost_is_in_memory(const char *path);
/// The two halves of a device number.
unsigned chost_device_major(unsigned long device);
unsigned chost_device_minor(unsigned long device);
/// Gives each of two files or folders the other's name (renameat2(2), RENAME_EXCHANGE).
int chost_exchange(const char *one, const char *other);
/// Takes the lock of an open file or folder for as long as it stays open, without waiting: -EWOULDBLOCK (flock(2)).
int chost_try_lock(int file);

/// Takes space for the first `count` bytes of a file, whose size stays (FALLOC_FL_KEEP_SIZE).
int chost_reserve(int file, long count);

/// Makes `to` share all blocks of `from` (FICLONE).
int chost_clone(int to, int from);
/// Copies up to `count` bytes: copy_file_range(2), or a plain copy where the kernel or a file system refuses that.
///
/// The number of bytes copied, at least 1, or 0 at the end of `from`.
ssize_t chost_copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, size_t count);

#pragma clang assume_nonnull end

#endif
