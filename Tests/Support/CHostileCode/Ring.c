// SPDX-License-Identifier: Apache-2.0

#include "CHostileCode.h"

#include <errno.h>
#include <liburing.h>

int chostile_submit(struct io_uring *ring, unsigned operation, unsigned flags) {
    static char memory[8];
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (!entry) return -EAGAIN;
    bool has_memory = operation != IORING_OP_FSYNC;
    io_uring_prep_rw((int)operation, entry, 0, has_memory ? memory : NULL, has_memory ? sizeof memory : 0, 0);
    io_uring_sqe_set_flags(entry, flags);
    int submitted = io_uring_submit(ring);
    if (submitted < 0) return submitted;
    struct io_uring_cqe *completion;
    int error = io_uring_wait_cqe(ring, &completion);
    if (error < 0) return error;
    int result = completion->res;
    io_uring_cqe_seen(ring, completion);
    return result;
}

int chostile_register(struct io_uring *ring, int file) { return io_uring_register_files_update(ring, 0, &file, 1); }
