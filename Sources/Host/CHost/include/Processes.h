// SPDX-License-Identifier: Apache-2.0
//
// What this process inherited, and the processes that it starts. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOST_PROCESSES_H
#define MARTLET_CHOST_PROCESSES_H

#include <sys/types.h>

#pragma clang assume_nonnull begin

/// Opens /dev/null in the place of each standard descriptor that is closed: an output for reading, so that a write fails.
int chost_open_standard_descriptors(void);

/// Indicates whether the disposition of `signal` is to ignore it.
int chost_is_ignored(int signal);
/// Ignores SIGPIPE from now on; remembers whether it was ignored before.
void chost_ignore_broken_pipes(void);
/// Gives SIGPIPE the action that it had before.
void chost_restore_broken_pipes(void);
/// Indicates whether `chost_ignore_broken_pipes` found SIGPIPE ignored: by whoever started this process.
int chost_broken_pipes_were_ignored(void);

struct chost_launch {
    const char *_Nonnull program;
    /// Both end with NULL.
    char *_Nullable const *_Nonnull arguments;
    char *_Nullable const *_Nonnull environment;
    /// Entry i becomes descriptor i of the child; -1 opens /dev/null there. All other descriptors are closed.
    const int *_Nonnull descriptors;
    int descriptor_count;
    /// Indicates whether the child leads a session of its own.
    int starts_session;
    /// The child's working folder; NULL for this process's.
    const char *_Nullable folder;
    /// Namespaces that the child has to itself: see chost_jail_namespaces.
    int namespaces;
};

/// Starts a program with no signal blocked or ignored.
///
/// Returns its process id when the program runs; `pidfd` refers to the process.
pid_t chost_start_process(const struct chost_launch *launch, int *pidfd);

/// Calls `body` in a copy of this process, and ends the copy with status 127 if `body` returns. No other thread of this process may
/// hold a lock meanwhile.
///
/// The copy leads a session of its own; it has the standard output and error and the writing end of a pipe, `report`, and no other
/// descriptor; SIGPIPE is ignored, no other signal is blocked or ignored. It is made by a thread that is there for nothing
/// else: Swift's locks remember a thread's id in variables of the thread, and the copy's would have the id of the parent's.
///
/// Returns the copy's process id; `report` is the reading end, and `pidfd` refers to the process.
pid_t chost_fork(void (*body)(void *context, int report), void *context, int *report, int *pidfd);

/// Sends a signal to the process of a pidfd; -ESRCH where it has ended.
int chost_pidfd_signal(int pidfd, int signal);
/// Refers to a process by its id, until that is closed.
int chost_pidfd_open(pid_t process);

#pragma clang assume_nonnull end

#endif
