// SPDX-License-Identifier: Apache-2.0

#ifndef CHOSTILECODE_H
#define CHOSTILECODE_H

/// Makes one system call on a thread that has the sandbox of `kind`, in a child of this process, and waits for its end.
///
/// Beneath `folder` it may open files, where its kind may; nowhere, with NULL. The child has no other thread, unlike the process of an exit test: what it is refused is this call.
///
/// - Returns: The call's result, or -errno; at most 127. Minus 1000 and the signal where a signal ended the child. -EDOM where the
///   sandbox could not be entered or no child be made.
int chostile_attempt(int kind, const char *_Nullable folder, long number, const long *_Nonnull arguments);

/// The same in a jail that has `folder` alone, on a thread that may open files.
int chostile_attempt_jailed(int kind, const char *_Nonnull folder, long number, const long *_Nonnull arguments);

/// The same for a call of the 32-bit interface, by `int 0x80`.
int chostile_attempt_32(int kind);

/// The same for a call that comes after SIGSYS is blocked.
int chostile_attempt_blocked(int kind, long number);

struct io_uring;

/// Submits an operation with 8 bytes of memory at offset 0 of file 0, and waits for its result.
///
/// - Returns: The result, or -errno of the submission.
int chostile_submit(struct io_uring *_Nonnull ring, unsigned operation, unsigned flags);

/// Registers another file beside those of the ring.
///
/// - Returns: 0, or -errno.
int chostile_register(struct io_uring *_Nonnull ring, int file);

/// The id of the calling thread.
int chostile_thread_id(void);

#endif
