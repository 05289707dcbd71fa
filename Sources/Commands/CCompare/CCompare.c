// SPDX-License-Identifier: Apache-2.0

#include "CCompare.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int watched[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { WATCHED = sizeof watched / sizeof *watched };

// MARK: - Starting a program

static void hide_cgroup2(void) {
    // Best effort: a runtime that needs this and does not get it says so itself.
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        umount2("/sys/fs/cgroup/unified", MNT_DETACH);
}

int ccompare_spawn(const char *program, char *const *arguments, const int *descriptors, bool without_cgroup2) {
    // vfork: the child borrows this memory until exec, so it can leave its error here, and starting costs the same
    // whatever this process's size. No signal may come to it before its handlers are gone.
    volatile int error = 0;
    pid_t parent = getpid();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = vfork();
    if (child == 0) {
        // No session of its own: where the kernel schedules by sessions (sched_autogroup), a new one waits a turn at first
        // that programs do not wait which a shell starts.
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        for (int i = 0; i < WATCHED; i++) signal(watched[i], SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        for (int i = 0; i < 3; i++)
            if (dup2(descriptors[i], i) < 0) error = errno;
        if (without_cgroup2) hide_cgroup2();
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (!error) execv(program, (char *const *)arguments);
        if (!error) error = errno;
        _exit(127);
    }
    if (child < 0) error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child > 0 && error) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    }
    return error ? -error : child;
}

int ccompare_pipe(int *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0; }

// MARK: - Signals

static volatile sig_atomic_t first_signal;
static int write_end = -1;

static void note_signal(int number) {
    int saved = errno;
    if (!first_signal) first_signal = number;
    // Full or not: one byte is enough, and nobody takes it.
    if (write(write_end, "", 1) < 0) {}
    errno = saved;
}

int ccompare_watch_signals(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
    write_end = ends[1];
    // Who no longer reads our words is no reason to leave things behind.
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    for (int i = 0; i < WATCHED; i++) {
        struct sigaction old;
        sigaction(watched[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) sigaction(watched[i], &action, NULL);
    }
    return ends[0];
}

int ccompare_first_signal(void) { return first_signal; }

