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
/// Indicates whether `chost_ignore_broken_pipes` found SIGPIPE ignored: by the parent process.
int chost_broken_pipes_were_ignored(void);

/// A pipe whose ends are closed on exec: [0] to read from, [1] to write to.
int chost_pipe(int *ends);

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
    /// The id of this process for a child that leads a process group and gets SIGKILL when the calling thread ends; 0 for others.
    pid_t ends_with;
    /// A mount that the child does not have, in a mount namespace of its own; NULL for none. Without the right to that, it has it.
    const char *_Nullable hidden_mount;
};

/// Starts a program with no signal blocked or ignored.
///
/// Returns its process id when the program runs; `pidfd` refers to the process.
pid_t chost_start_process(const struct chost_launch *launch, int *pidfd);

/// Has another process call `body` in the memory of this one, which has no thread but this; prints what that process reports, and
/// ends with it.
///
/// The other process leads a session of its own; it has the standard output and error and the writing end of a pipe, `report`, and
/// no other descriptor; SIGPIPE is ignored, no other signal is blocked or ignored. It ends with status 127 if `body` returns.
/// It has the variables of a thread that is there for nothing else: Swift's locks remember a thread's id in variables of the
/// thread, and the calling one's would have an id of this process.
///
/// A report is the status to end with in a byte, words for standard error, 0, and words for standard output. This process does
/// nothing but wait for it: memory is shared, and one that a signal ends must leave no lock. That is why it ends here, also with
/// `died` on standard error where the other process fails without a report, and `unheard` where standard output takes nothing.
///
/// Returns 0 when the other process has ended with status 0 and without a report: the memory is this process's alone again. Returns
/// -errno where there is none.
int chost_leave_to_successor(
    void (*body)(void *context, int report), void *context, const char *died, const char *unheard
);

/// Sends a signal to the process of a pidfd; -ESRCH where it has ended.
int chost_pidfd_signal(int pidfd, int signal);
/// Refers to a process by its id, until that is closed.
int chost_pidfd_open(pid_t process);

#pragma clang assume_nonnull end

#endif
