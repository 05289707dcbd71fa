// SPDX-License-Identifier: Apache-2.0
//
// What comparing needs of the kernel that Swift cannot do: starting a program with its end tied to ours, and signals that become
// readable. Each function returns at least 0, or -errno.
#ifndef MARTLET_CCOMPARE_H
#define MARTLET_CCOMPARE_H

#include <stdbool.h>

#pragma clang assume_nonnull begin

/// Starts a program in a process group of its own, with no signal blocked or ignored, which gets SIGKILL when the calling
/// thread ends. `descriptors` are its standard ones.
///
/// `without_cgroup2` gives it a mount namespace in which /sys/fs/cgroup/unified is not mounted, for runtimes that know hosts
/// with cgroup v1 and hosts with v2, but none with both.
int ccompare_spawn(
    const char *program, char *_Nullable const *_Nonnull arguments, const int *descriptors, bool without_cgroup2);

/// A pipe whose ends are closed on exec: [0] to read from, [1] to write to.
int ccompare_pipe(int *ends);

/// From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT do nothing but make the descriptor that this returns readable, for ever;
/// those that are ignored stay ignored. SIGPIPE is ignored from now on.
int ccompare_watch_signals(void);
/// The first of these signals, or 0.
int ccompare_first_signal(void);

#pragma clang assume_nonnull end

#endif
