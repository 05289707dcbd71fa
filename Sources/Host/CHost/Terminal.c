// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios cooked, raw;
static atomic_int raw_fd = -1;

// What the kernel does at the default action of a signal (signal(7)).
static int is_fatal_by_default(int signal) {
    switch (signal) {
    case SIGKILL: case SIGSTOP:  // cannot be handled
    case SIGCHLD: case SIGURG: case SIGWINCH:  // ignored
    case SIGCONT: case SIGTSTP: case SIGTTIN: case SIGTTOU:  // job control
        return 0;
    default:
        return 1;
    }
}

// The signals by which a process dies of its own fault.
static int is_crash(int signal) {
    switch (signal) {
    case SIGILL: case SIGTRAP: case SIGABRT: case SIGBUS: case SIGFPE: case SIGSEGV: case SIGSYS:
        return 1;
    default:
        return 0;
    }
}

// All that is called from the handlers is async-signal-safe (POSIX.1-2017, 2.4.3).

static void set_attributes(int fd, const struct termios *attributes) {
    int saved = errno;
    // A process in the background that changes the terminal is stopped by SIGTTOU unless it blocks it.
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    tcsetattr(fd, TCSANOW, attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

static void restore_and_die(int signal) {
    int fd = atomic_load(&raw_fd);
    if (fd >= 0) set_attributes(fd, &cooked);
    handle(signal, SIG_DFL);
    // Blocked until this handler returns; then the default action comes. A trap in Swift is SIGILL or SIGTRAP.
    raise(signal);
}

static void restore_while_stopped(int signal) {
    int fd = atomic_load(&raw_fd);
    (void)signal;
    if (fd >= 0) set_attributes(fd, &cooked);
    raise(SIGSTOP);
}

// Also after a SIGSTOP from outside: the shell has taken the terminal back meanwhile.
static void raw_again(int signal) {
    int saved = errno, fd = atomic_load(&raw_fd);
    (void)signal;
    if (fd >= 0 && tcgetpgrp(fd) == getpgrp()) set_attributes(fd, &raw);
    errno = saved;
}

// Every signal that would end the process; what somebody handles or ignores is theirs. Except for crashes: the Swift
// runtime handles them where its backtracer is installed, asks questions on the terminal, and goes on where the signal was
// sent from outside. Its message about a trap comes before the signal and is not lost.
static void restore_on_fatal_signals(void) {
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction current;
        if (!is_fatal_by_default(signal) || sigaction(signal, NULL, &current) < 0) continue;
        if (signal == SIGBUS && chost_guards_mappings()) continue;  // its handler puts the terminal back, too
        if (chost_watches_fault(signal)) continue;
        // So does the sandbox's, which nobody can replace.
        if (signal == SIGSYS && current.sa_flags & SA_SIGINFO) continue;
        int is_ours = is_crash(signal) || (!(current.sa_flags & SA_SIGINFO) && current.sa_handler == SIG_DFL);
        if (is_ours) handle(signal, restore_and_die);
    }
}

int chost_terminal_enter_raw(int fd) {
    static atomic_flag is_prepared = ATOMIC_FLAG_INIT;
    if (tcgetattr(fd, &cooked) < 0) return -errno;
    raw = cooked;
    cfmakeraw(&raw);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (!atomic_flag_test_and_set(&is_prepared)) {
        restore_on_fatal_signals();
        if (!chost_is_ignored(SIGTSTP)) handle(SIGTSTP, restore_while_stopped);
        handle(SIGCONT, raw_again);
        // exit(3) from anywhere, a library included, is a way out as well.
        atexit(chost_terminal_restore);
    }
    atomic_store(&raw_fd, fd);
    if (tcsetattr(fd, TCSANOW, &raw) == 0) return 0;
    int error = errno;
    atomic_store(&raw_fd, -1);
    return -error;
}

void chost_terminal_restore(void) {
    int fd = atomic_exchange(&raw_fd, -1);
    if (fd >= 0) set_attributes(fd, &cooked);
}

int chost_terminal_is_raw(void) { return atomic_load(&raw_fd) >= 0; }

void chost_end_by_signal(int signal) {
    sigset_t set;
    chost_terminal_restore();
    // Whoever ignored SIGPIPE expects an exit status of 1 instead, as of a program that sees an error of write.
    if (signal == SIGPIPE && chost_broken_pipes_were_ignored()) exit(1);
    handle(signal, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signal);
    // Reached where the default action is not to end.
    _exit(128 + signal);
}
