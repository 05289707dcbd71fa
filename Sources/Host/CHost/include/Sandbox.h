// SPDX-License-Identifier: Apache-2.0
//
// The rights, files and system calls that a process and its threads give away. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOST_SANDBOX_H
#define MARTLET_CHOST_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

// MARK: - Rights

/// Takes all capabilities from the calling thread, and from what it starts.
int chost_drop_capabilities(void);
/// Opens a file for reading, without the right to administrate: what the kernel shows in some files of /proc follows from the
/// rights of the thread that opened them.
int chost_open_as_user(const char *_Nonnull path);
/// No program that this process starts gets rights by its file; needed for filters without privileges.
int chost_forbid_new_privileges(void);
/// Keeps others, also of the same user, from reading this process's memory, and its memory from core files.
int chost_hide_memory(void);
/// The number of descriptors cannot be raised any more, and there are no core files.
int chost_limit_resources(void);
/// Becomes another user, with one group, on every thread.
int chost_become(uid_t user, gid_t group);
/// Closes the descriptors from 3 to 1023 that this process inherited, but for `count` of them.
void chost_close_inherited(const int *_Nullable kept, int count);
/// One heap for all threads: a heap of its own would make a new thread look at the number of processors in /sys.
void chost_share_heap(void);

// MARK: - Jail

/// The namespaces of a process in a jail, as flags of clone(2); its network is this process's own with `shares_network`.
int chost_jail_namespaces(int shares_network);
/// The maps of a user namespace that has this user and this group alone.
struct chost_jail_maps {
    char user[40], group[40];
};
void chost_jail_maps(struct chost_jail_maps *maps);
/// Starts a process that is a copy of this one, in namespaces of its own; returns as fork(2) does.
///
/// The copy calls only what is async-signal-safe, up to its exec.
pid_t chost_fork_into(int namespaces);
/// Gives the calling process, the first one of `namespaces`, the rights to make its root after an exec.
int chost_jail_begin(int namespaces, const struct chost_jail_maps *maps);
/// Tries in a child whether this host lets this process make a jail.
int chost_jail_try(void);
/// Gives this process, the first one of its namespaces, a root in which nothing is but `folders`, under their own paths.
///
/// A folder comes behind those that it lies in. At most 4.
int chost_jail_enter(char *_Nullable const *_Nonnull folders, int count);

// MARK: - Landlock

/// The version of Landlock's interface that the kernel has (landlock(7)); 0 for none.
int chost_landlock_version(void);
/// Restricts the calling thread and what it starts: no programs, no device nodes, no TCP, no signals to other processes.
///
/// It opens, makes and changes files by their path beneath the folders `opened` alone, which may be "/" for all files, and renames and
/// removes folders in those that are `cleared`; NULL ends both. Does nothing where the kernel has no Landlock.
int chost_landlock_restrict(char *_Nullable const *_Nonnull opened, char *_Nullable const *_Nonnull cleared);

// MARK: - System calls

/// The kinds of thread, as bits: each has a list of system calls.
enum { CHOST_VCPU = 1, CHOST_DEVICE = 2, CHOST_API = 4, CHOST_CONTROL = 8, CHOST_VSOCK = 16, CHOST_ALL = 31 };

enum chost_filter_mode {
    /// A call that is not in the list ends the process.
    CHOST_FILTER_ENFORCE,
    /// Such a call is reported once for each thread, and allowed.
    CHOST_FILTER_LOG,
};

/// Indicates whether this host and this program can have filters: under a sanitizer, which makes calls of its own, it cannot.
int chost_has_filters(void);
/// Sets up what happens at a call that is refused: it is named on standard error and on `log`, unless that is negative.
///
/// The process ends with `status`, or by SIGSYS where that is negative.
int chost_filter_prepare(enum chost_filter_mode mode, int log, int status);
/// Restricts the calling thread, or all threads, to the calls of `kinds`.
int chost_filter_install(int kinds, int all_threads);
/// Restricts the calling thread, or all threads, by a program of the user's: `count` instructions as struct sock_filter has them.
int chost_filter_install_own(const uint64_t *_Nonnull steps, int count, int all_threads);
/// The number of calls that threads of one of `kinds` can make.
int chost_filter_count(int kinds);
/// The name of a system call; "?" for a number without one.
const char *chost_system_call_name(int number);

/// The number of the system call of that name; -1 for none.
int chost_system_call_number(const char *name);

#pragma clang assume_nonnull end

#endif
