// SPDX-License-Identifier: Apache-2.0
//
// Threads of POSIX, with a name, a stack of a known size and no asynchronous signals. Each function returns 0, or -errno.
#ifndef MARTLET_CHOST_THREADS_H
#define MARTLET_CHOST_THREADS_H

#include <pthread.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// Starts a thread that calls `body(context)` and blocks every asynchronous signal from its first instruction on.
///
/// The first 15 bytes of `name` are the name that top(1) shows. The thread is to be joined or detached.
int chost_thread_start(
    pthread_t *thread, const char *name, size_t stack_byte_count, void (*body)(void *context), void *context);
/// Waits for the end of a thread.
int chost_thread_join(pthread_t thread);
/// Lets a thread give back what it has when it ends.
int chost_thread_detach(pthread_t thread);

/// Gives the calling thread a name; its first 15 bytes count.
void chost_thread_set_name(const char *name);
/// Copies the calling thread's name, with its zero.
void chost_thread_get_name(char *name16);

/// Moves the calling thread from the first processor to another of those that it may use, where it is there.
void chost_thread_leave_first_processor(void);

/// The name under which this program was started, without its folder.
const char *chost_program_name(void);

#pragma clang assume_nonnull end

#endif
