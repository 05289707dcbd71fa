// SPDX-License-Identifier: Apache-2.0

#include "CHostileCode.h"

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The exit status of a child whose sandbox failed; results and errno values are below it.
enum { NO_SANDBOX = 255, ERRNO_OFFSET = 128, ERRNO_END = 127 };

static void silence(void) {
    // Copies of descriptors whose locks other tests release by closing them.
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
    // The message of a refusal is expected, and would only fill the test's output.
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDERR_FILENO) < 0) _exit(NO_SANDBOX);
}

static void restrict_calls(int kind, const char *folder) {
    char *const none[] = {NULL}, *const opened[] = {(char *)folder, NULL};
    if (chost_limit_resources() < 0 || chost_forbid_new_privileges() < 0 || chost_drop_capabilities() < 0 ||
        chost_hide_memory() < 0 || chost_filter_prepare(CHOST_FILTER_ENFORCE, -1, -1) < 0 ||
        chost_filter_install(CHOST_ALL, 1) < 0 || chost_landlock_restrict(opened, none) < 0 ||
        chost_filter_install(kind, 0) < 0)
        _exit(NO_SANDBOX);
}

static void enter(int kind, const char *folder) {
    silence();
    restrict_calls(kind, folder);
}

static int status_of(pid_t child) {
    int status;
    if (child < 0) return -EDOM;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -EDOM;
    if (WIFSIGNALED(status)) return -1000 - WTERMSIG(status);
    int code = WEXITSTATUS(status);
    if (code == NO_SANDBOX) return -EDOM;
    return code >= ERRNO_OFFSET ? ERRNO_OFFSET - code : code;
}

static void relay(pid_t child) {
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0) _exit(NO_SANDBOX);
    if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
    _exit(NO_SANDBOX);
}

static void end(long result) {
    if (result < 0) _exit(ERRNO_OFFSET + (errno < ERRNO_END ? errno : 0));
    _exit(result < ERRNO_OFFSET ? (int)result : ERRNO_OFFSET - 1);
}

int chostile_attempt(int kind, const char *folder, long number, const long *arguments) {
    const long *a = arguments;
    pid_t child = fork();
    if (child == 0) {
        enter(kind, folder);
        end(syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
    }
    return status_of(child);
}

int chostile_attempt_jailed(int kind, const char *folder, long number, const long *arguments) {
    const long *a = arguments;
    struct chost_jail_maps maps;
    int namespaces = chost_jail_namespaces(0);
    chost_jail_maps(&maps);
    pid_t child = fork();
    if (child == 0) {
        // Without other threads, which may hold any lock while a process is copied by hand.
        silence();
        pid_t inner = chost_fork_into(namespaces);
        if (inner != 0) relay(inner);
        alarm(60);
        if (chost_jail_begin(namespaces, &maps) < 0 || chost_jail_enter((char *const[]){(char *)folder}, 1) < 0) _exit(NO_SANDBOX);
        restrict_calls(kind, "/");
        end(syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
    }
    return status_of(child);
}

int chostile_attempt_32(int kind) {
    pid_t child = fork();
    if (child == 0) {
        enter(kind, NULL);
#ifdef __x86_64__
        long result = 20;  // getpid
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
#endif
        _exit(0);
    }
    return status_of(child);
}

int chostile_attempt_blocked(int kind, long number) {
    pid_t child = fork();
    if (child == 0) {
        enter(kind, NULL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGSYS);
        sigprocmask(SIG_BLOCK, &set, NULL);
        end(syscall(number, 0, 0, 0, 0, 0, 0));
    }
    return status_of(child);
}

int chostile_thread_id(void) { return (int)syscall(SYS_gettid); }
