// SPDX-License-Identifier: Apache-2.0
//
// What comparing needs of the kernel that Swift cannot do: starting a program with its end tied to ours, pidfds, and signals
// that become readable. Each function returns at least 0, or -errno.
#ifndef MARTLET_CCOMPARE_H
#define MARTLET_CCOMPARE_H

#include <stdbool.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// Starts a program in a process group of its own, with no signal blocked or ignored, which gets SIGKILL when the calling
/// thread ends. `descriptors` are its standard ones.
///
/// `without_cgroup2` gives it a mount namespace in which /sys/fs/cgroup/unified is not mounted, for runtimes that know hosts
/// with cgroup v1 and hosts with v2, but none with both.
pid_t ccompare_spawn(
    const char *program, char *_Nullable const *_Nonnull arguments, const int *descriptors, bool without_cgroup2);

/// A pipe whose ends are closed on exec: [0] to read from, [1] to write to.
int ccompare_pipe(int *ends);

/// A descriptor that is readable once the process has ended (pidfd_open).
int ccompare_pidfd(pid_t process);

/// From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT do nothing but make the descriptor that this returns readable, for ever;
/// those that are ignored stay ignored. SIGPIPE is ignored from now on.
int ccompare_watch_signals(void);
/// The first of these signals, or 0.
int ccompare_first_signal(void);

/// Indicates whether the file system of `path` is in memory (tmpfs, ramfs): 1 or 0.
int ccompare_is_in_memory(const char *path);

/// The numbers of the device that holds `path`.
int ccompare_device(const char *path, unsigned *major_number, unsigned *minor_number);

#pragma clang assume_nonnull end

#endif
