// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

static struct {
    // The eventfd that tells of the signal, plus one; 0 where none does.
    atomic_int event;
    // The code of the last one (siginfo_t), and the exit status after a fault.
    atomic_int code, status;
    // The number of signals since somebody asked.
    atomic_uint count;
} watched[_NSIG];

// eventfd_write is write(2): async-signal-safe (POSIX.1-2017, 2.4.3).
static void tell(int signal) {
    int saved = errno, event = atomic_load(&watched[signal].event) - 1;
    if (event >= 0) eventfd_write(event, 1);
    errno = saved;
}

int chost_watch_signal(int signal, int event) {
    if (signal < 1 || signal >= _NSIG) return -EINVAL;
    if (chost_is_ignored(signal)) return 1;
    struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&watched[signal].event, event + 1);
    return chost_result(sigaction(signal, &action, NULL));
}

void chost_tell_fault(int signal, siginfo_t *info) {
    if (atomic_load(&watched[signal].event) == 0) return;
    atomic_store(&watched[signal].code, info->si_code);
    atomic_fetch_add(&watched[signal].count, 1);
    tell(signal);
    // The kernel sends this one as if the process did, to the thread that wrote beyond the limit.
    int is_limit = signal == SIGXFSZ && info->si_code == SI_USER && info->si_pid == getpid();
    if (!is_limit && (info->si_code <= 0 || (signal != SIGBUS && signal != SIGSEGV && signal != SIGILL))) return;
    // The instruction would fault again; a request that wrote beyond the limit gets no answer.
    chost_await_end(atomic_load(&watched[signal].status));
}

void chost_await_end(int status) {
    struct timespec second = {1, 0};
    int nothing = 0;
    syscall(SYS_futex, &nothing, FUTEX_WAIT_PRIVATE, 0, &second, NULL, 0);
    chost_terminal_restore();
    _exit(status);
}

static void handle_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    chost_tell_fault(signal, info);
}

int chost_watch_fault(int signal, int event, int status) {
    if (signal < 1 || signal >= _NSIG) return -EINVAL;
    struct sigaction action = {.sa_sigaction = handle_fault, .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    atomic_store(&watched[signal].status, status);
    atomic_store(&watched[signal].event, event + 1);
    // The handler for files that were cut short calls this one for all else.
    if (signal == SIGBUS && chost_guards_mappings()) return 0;
    return chost_result(sigaction(signal, &action, NULL));
}

int chost_watches_fault(int signal) { return atomic_load(&watched[signal].status) != 0; }

int chost_signal_code(int signal) { return signal < 1 || signal >= _NSIG ? 0 : atomic_load(&watched[signal].code); }

unsigned chost_take_signal_count(int signal) {
    return signal < 1 || signal >= _NSIG ? 0 : atomic_exchange(&watched[signal].count, 0);
}

static int change_mask(int how, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return -pthread_sigmask(how, &set, NULL);
}

int chost_unblock_signal(int signal) { return change_mask(SIG_UNBLOCK, signal); }
int chost_block_signal(int signal) { return change_mask(SIG_BLOCK, signal); }
