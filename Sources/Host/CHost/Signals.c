// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <signal.h>
#include <stdatomic.h>

// For each signal the eventfd that tells of it, plus one; 0 where none does.
static atomic_int signal_events[_NSIG];

// eventfd_write is write(2): async-signal-safe (POSIX.1-2017, 2.4.3).
static void tell(int signal) {
    int saved = errno, event = atomic_load(&signal_events[signal]) - 1;
    if (event >= 0) eventfd_write(event, 1);
    errno = saved;
}

int chost_watch_signal(int signal, int event) {
    if (signal < 1 || signal >= _NSIG) return -EINVAL;
    if (chost_is_ignored(signal)) return 1;
    struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&signal_events[signal], event + 1);
    return chost_result(sigaction(signal, &action, NULL));
}

int chost_unblock_signal(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
