// SPDX-License-Identifier: Apache-2.0

#include "CStorage.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result_of(int result) { return result < 0 ? -errno : result; }

// MARK: - Files

int cstorage_lock(int file, bool exclusive) {
    struct flock lock = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};
    return result_of(fcntl(file, F_OFD_SETLK, &lock));
}

int cstorage_is_locked(int file) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_GETLK, &lock) < 0 ? -errno : lock.l_type != F_UNLCK;
}

int cstorage_device_size(int file, uint64_t *size) { return result_of(ioctl(file, BLKGETSIZE64, size)); }

int cstorage_device_is_read_only(int file) {
    int read_only = 0;
    return ioctl(file, BLKROGET, &read_only) < 0 ? -errno : read_only != 0;
}

int cstorage_device_blocks(int file, uint32_t *logical, uint32_t *physical, uint32_t *optimal) {
    int logical_size;
    if (ioctl(file, BLKSSZGET, &logical_size) < 0 || ioctl(file, BLKPBSZGET, physical) < 0 ||
        ioctl(file, BLKIOOPT, optimal) < 0)
        return -errno;
    *logical = (uint32_t)logical_size;
    return 0;
}

int cstorage_direct_alignment(int file, uint32_t *offset, uint32_t *memory) {
    *offset = *memory = 0;
#ifdef STATX_DIOALIGN
    struct statx status;
    if (statx(file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) < 0) return -errno;
    if (status.stx_mask & STATX_DIOALIGN) {
        *offset = status.stx_dio_offset_align;
        *memory = status.stx_dio_mem_align;
    }
#endif
    return 0;
}

// MARK: - Input and output

static int flags_of(enum cstorage_how how) {
    return (how & CSTORAGE_DURABLE ? RWF_DSYNC : 0) | (how & CSTORAGE_NOWAIT ? RWF_NOWAIT : 0);
}

ssize_t cstorage_read(int file, const struct iovec *vectors, int count, uint64_t offset, enum cstorage_how how) {
    ssize_t done = preadv2(file, vectors, count, (off_t)offset, flags_of(how));
    return done < 0 ? -errno : done;
}

ssize_t cstorage_write(int file, const struct iovec *vectors, int count, uint64_t offset, enum cstorage_how how) {
    ssize_t done = pwritev2(file, vectors, count, (off_t)offset, flags_of(how));
    return done < 0 ? -errno : done;
}

int cstorage_sync(int file) { return result_of(fdatasync(file)); }

static int mode_of(enum cstorage_range what) {
    return (what == CSTORAGE_HOLE ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
}

int cstorage_allocate(int file, enum cstorage_range what, uint64_t offset, uint64_t count) {
    return result_of(fallocate(file, mode_of(what), (off_t)offset, (off_t)count));
}

// MARK: - io_uring

static const int needed[] = {IORING_OP_READ,  IORING_OP_READV, IORING_OP_WRITE,
                             IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};

/// Lets the kernel refuse everything else that comes through the ring: other operations, other files, further resources.
/// Filters of system calls do not see them.
static int restrict_ring(struct io_uring *ring) {
    enum { OPERATION_COUNT = sizeof needed / sizeof *needed };
    struct io_uring_restriction allowed[OPERATION_COUNT + 2] = {
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_UNREGISTER_FILES},
    };
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        allowed[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
        allowed[i + 2].sqe_op = (uint8_t)needed[i];
    }
    // liburing's own functions for it are missing in Debian 12's shared library.
    long result = syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed, OPERATION_COUNT + 2);
    if (result >= 0) result = syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    return result_of((int)result);
}

int cstorage_ring_create(unsigned entries, int file, int event, struct io_uring **created) {
    struct io_uring *ring = malloc(sizeof *ring);
    if (!ring) return -ENOMEM;
    int error = io_uring_queue_init(entries, ring, IORING_SETUP_R_DISABLED);
    if (error < 0) {
        free(ring);
        // A kernel before Linux 5.10 has no restrictions.
        return error == -EINVAL ? -ENOTSUP : error;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    // Without SUBMIT_STABLE the vectors would have to live as long as the request, without NODROP completions could be lost.
    bool usable = probe && ring->features & IORING_FEAT_SUBMIT_STABLE && ring->features & IORING_FEAT_NODROP;
    for (unsigned i = 0; usable && i < sizeof needed / sizeof *needed; i++)
        usable = io_uring_opcode_supported(probe, needed[i]);
    io_uring_free_probe(probe);
    error = usable ? io_uring_register_files(ring, &file, 1) : -ENOTSUP;
    if (error == 0) error = io_uring_register_eventfd(ring, event);
    if (error == 0) error = restrict_ring(ring);
    if (error < 0)
        cstorage_ring_destroy(ring);
    else
        *created = ring;
    return error;
}

void cstorage_ring_destroy(struct io_uring *ring) {
    // At once: what is left of the ring goes later, and would keep the file and its lock until then.
    io_uring_unregister_files(ring);
    io_uring_queue_exit(ring);
    free(ring);
}

static int finish(struct io_uring_sqe *entry, uint64_t tag) {
    io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    io_uring_sqe_set_data64(entry, tag);
    return 0;
}

int cstorage_ring_read(
    struct io_uring *ring, uint64_t tag, const struct iovec *vectors, unsigned count, uint64_t offset) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EBUSY;
    if (count == 1 && vectors->iov_len <= UINT32_MAX)
        io_uring_prep_read(entry, 0, vectors->iov_base, (unsigned)vectors->iov_len, offset);
    else
        io_uring_prep_readv(entry, 0, vectors, count, offset);
    return finish(entry, tag);
}

int cstorage_ring_write(
    struct io_uring *ring, uint64_t tag, const struct iovec *vectors, unsigned count, uint64_t offset, bool durable) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EBUSY;
    if (count == 1 && vectors->iov_len <= UINT32_MAX)
        io_uring_prep_write(entry, 0, vectors->iov_base, (unsigned)vectors->iov_len, offset);
    else
        io_uring_prep_writev(entry, 0, vectors, count, offset);
    entry->rw_flags = durable ? RWF_DSYNC : 0;
    return finish(entry, tag);
}

int cstorage_ring_sync(struct io_uring *ring, uint64_t tag) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EBUSY;
    io_uring_prep_fsync(entry, 0, IORING_FSYNC_DATASYNC);
    return finish(entry, tag);
}

int cstorage_ring_allocate(
    struct io_uring *ring, uint64_t tag, enum cstorage_range what, uint64_t offset, uint64_t count) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EBUSY;
    io_uring_prep_fallocate(entry, 0, mode_of(what), (off_t)offset, (off_t)count);
    return finish(entry, tag);
}

unsigned cstorage_ring_pending(const struct io_uring *ring) { return io_uring_sq_ready(ring); }

int cstorage_ring_submit(struct io_uring *ring) {
    // No event for what is complete when the submission returns: the caller looks for that in any case. The kernel's own
    // way to ask for this (IORING_REGISTER_EVENTFD_ASYNC) also leaves out what the disk completes later.
    io_uring_cq_eventfd_toggle(ring, false);
    int submitted = io_uring_submit(ring);
    io_uring_cq_eventfd_toggle(ring, true);
    return submitted;
}

int cstorage_ring_wait(struct io_uring *ring) {
    struct io_uring_cqe *entry;
    return io_uring_wait_cqe(ring, &entry);
}

int cstorage_ring_take(struct io_uring *ring, uint64_t *tag, int *result) {
    struct io_uring_cqe *entry;
    if (io_uring_peek_cqe(ring, &entry) < 0) return 0;
    *tag = io_uring_cqe_get_data64(entry);
    *result = entry->res;
    io_uring_cqe_seen(ring, entry);
    return 1;
}
