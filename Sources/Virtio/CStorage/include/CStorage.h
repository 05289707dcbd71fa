// SPDX-License-Identifier: Apache-2.0
//
// What disks need of the kernel that the Glibc module does not show to Swift, and liburing, whose queues are macros and inline
// functions over shared memory. Each function returns at least 0, or -errno, unless it says otherwise.
#ifndef MARTLET_CSTORAGE_H
#define MARTLET_CSTORAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#pragma clang assume_nonnull begin

// MARK: - Files

/// Locks the whole file for this open file description (F_OFD_SETLK): -EAGAIN where another one holds a lock in the way.
int cstorage_lock(int file, bool exclusive);
/// 1 where another open file description has a lock of the file, 0 where none has.
int cstorage_is_locked(int file);
/// The size in bytes of a block device (BLKGETSIZE64).
int cstorage_device_size(int file, uint64_t *size);
/// 1 where a block device refuses writes (BLKROGET), 0 where it takes them.
int cstorage_device_is_read_only(int file);
/// Logical block, physical block and optimal I/O size in bytes of a block device (BLKSSZGET, BLKPBSZGET, BLKIOOPT).
int cstorage_device_blocks(int file, uint32_t *logical, uint32_t *physical, uint32_t *optimal);
/// The alignment of offsets and of memory for O_DIRECT (statx, STATX_DIOALIGN); 0 for both where the kernel cannot tell.
int cstorage_direct_alignment(int file, uint32_t *offset, uint32_t *memory);

// MARK: - Input and output

/// The way in which a call is done.
enum cstorage_how {
    CSTORAGE_PLAIN = 0,
    /// A write is complete on stable storage only (RWF_DSYNC).
    CSTORAGE_DURABLE = 1,
    /// A read must not wait for the disk: -EAGAIN (RWF_NOWAIT).
    CSTORAGE_NOWAIT = 2,
};
/// preadv2(2): the number of bytes.
ssize_t cstorage_read(int file, const struct iovec *vectors, int count, uint64_t offset, enum cstorage_how how);
/// pwritev2(2): the number of bytes.
ssize_t cstorage_write(int file, const struct iovec *vectors, int count, uint64_t offset, enum cstorage_how how);
int cstorage_sync(int file);

/// The treatment of a range of bytes.
enum cstorage_range {
    /// A hole: no space, reads as zeros.
    CSTORAGE_HOLE,
    /// Zeros for which space is kept.
    CSTORAGE_ZEROS,
};
/// fallocate(2); the file keeps its size.
int cstorage_allocate(int file, enum cstorage_range what, uint64_t offset, uint64_t count);

// MARK: - io_uring

/// liburing's own structure; its header does not agree with the modules that Swift makes of the kernel's headers.
struct io_uring;

/// Makes a ring for `entries` requests to `file`, which signals `event` for completions that come later than their submission
/// has returned.
///
/// -ENOSYS or -EPERM where the kernel has no io_uring or does not allow it, -ENOTSUP where it lacks an operation.
int cstorage_ring_create(unsigned entries, int file, int event, struct io_uring *_Nullable *_Nonnull ring);
void cstorage_ring_destroy(struct io_uring *ring);
/// Each prepares a request that comes back as `tag`; -EBUSY where the queue is full. `vectors` stay until the submission.
int cstorage_ring_read(struct io_uring *ring, uint64_t tag, const struct iovec *vectors, unsigned count, uint64_t offset);
int cstorage_ring_write(
    struct io_uring *ring, uint64_t tag, const struct iovec *vectors, unsigned count, uint64_t offset, bool durable);
int cstorage_ring_sync(struct io_uring *ring, uint64_t tag);
int cstorage_ring_allocate(
    struct io_uring *ring, uint64_t tag, enum cstorage_range what, uint64_t offset, uint64_t count);
/// The number of requests that are prepared and not yet taken by the kernel.
unsigned cstorage_ring_pending(const struct io_uring *ring);
/// Submits what was prepared: how many the kernel took. Look for completions afterwards: some come without an event.
int cstorage_ring_submit(struct io_uring *ring);
/// Waits for a completion.
int cstorage_ring_wait(struct io_uring *ring);
/// Takes a completion: 1, or 0 where there is none.
int cstorage_ring_take(struct io_uring *ring, uint64_t *tag, int *result);

#pragma clang assume_nonnull end

#endif
