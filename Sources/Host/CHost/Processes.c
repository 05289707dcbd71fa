// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int chost_open_standard_descriptors(void) {
    for (int descriptor = 0; descriptor < 3; descriptor++) {
        if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number is this one: those below are open.
        // What is written to a closed output is an error still: a command whose answer is lost must not end with 0.
        if (open("/dev/null", descriptor == 0 ? O_RDWR : O_RDONLY) >= 0) continue;
        // A jail may lack the device: an empty file that cannot grow gives nothing and takes nothing.
        int file = memfd_create("null", MFD_ALLOW_SEALING);
        if (file < 0 || fcntl(file, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) return -errno;
    }
    return 0;
}

int chost_is_ignored(int signal) {
    struct sigaction current;
    if (sigaction(signal, NULL, &current) < 0) return 0;
    return !(current.sa_flags & SA_SIGINFO) && current.sa_handler == SIG_IGN;
}

static atomic_int broken_pipes_were_ignored = -1;

void chost_ignore_broken_pipes(void) {
    int unknown = -1;
    atomic_compare_exchange_strong(&broken_pipes_were_ignored, &unknown, chost_is_ignored(SIGPIPE));
    signal(SIGPIPE, SIG_IGN);
}

void chost_restore_broken_pipes(void) {
    if (!chost_broken_pipes_were_ignored()) signal(SIGPIPE, SIG_DFL);
}

int chost_broken_pipes_were_ignored(void) { return atomic_load(&broken_pipes_were_ignored) == 1; }

int chost_pipe(int *ends) { return chost_result(pipe2(ends, O_CLOEXEC)); }

// Between fork and exec nothing is called that is not async-signal-safe: other threads of this process may hold any lock.

static void fail(int report) {
    int error = errno;
    (void)!write(report, &error, sizeof error);
    _exit(127);
}

// Moves `descriptor` to a number of at least `minimum`.
static int raise_descriptor(int descriptor, int minimum, int report) {
    int raised = fcntl(descriptor, F_DUPFD_CLOEXEC, minimum);
    if (raised < 0) fail(report);
    return raised;
}

static void close_from(int first) {
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
    // Before Linux 5.9, or under a filter that does not know the call.
    for (int i = first, end = (int)sysconf(_SC_OPEN_MAX); i < end; i++) close(i);
}

static void reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (int signal = 1; signal < _NSIG; signal++) sigaction(signal, &action, NULL);
    pthread_sigmask(SIG_SETMASK, &action.sa_mask, NULL);
}

static void become(const struct chost_launch *launch, const struct chost_jail_maps *maps, int report) {
    int count = launch->descriptor_count, sources[count > 0 ? count : 1];
    // Out of the way first: no source and no report has a number that becomes somebody else's.
    report = raise_descriptor(report, count, report);
    for (int i = 0; i < count; i++) {
        int source = launch->descriptors[i];
        if (source < 0) source = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (source < 0) fail(report);
        sources[i] = raise_descriptor(source, count, report);
    }
    for (int i = 0; i < count; i++)
        if (dup2(sources[i], i) < 0) fail(report);
    // The report goes right behind them, so that one call closes all else. It is closed on exec.
    if (report != count && dup3(report, count, O_CLOEXEC) < 0) fail(report);
    report = count;
    close_from(count + 1);
    int result = chost_jail_begin(launch->namespaces, maps);
    if (result < 0) {
        errno = -result;
        fail(report);
    }
    if (launch->starts_session && setsid() < 0) fail(report);
    if (launch->ends_with) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != launch->ends_with) _exit(127);
    }
    if (launch->hidden_mount && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        umount2(launch->hidden_mount, MNT_DETACH);
    if (launch->folder && chdir(launch->folder) < 0) fail(report);
    reset_signals();
    execve(launch->program, launch->arguments, launch->environment);
    fail(report);
}

static void end_child(pid_t child) {
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
}

pid_t chost_start_process(const struct chost_launch *launch, int *pidfd) {
    int ends[2], error = 0;
    struct chost_jail_maps maps;
    chost_jail_maps(&maps);
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    // A handler of this process must not run in the child.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    // The child of vfork borrows this memory until exec: nothing is copied, and this thread waits, as it would for the report.
    pid_t child = launch->namespaces ? chost_fork_into(launch->namespaces) : vfork();
    if (child == 0) become(launch, &maps, ends[1]);
    error = child < 0 ? errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (!error) {
        // Nobody has waited for the child yet, so the id is its own.
        *pidfd = chost_pidfd_open(child);
        ssize_t count;
        do count = read(ends[0], &error, sizeof error);
        while (count < 0 && errno == EINTR);
        if (count == 0) error = *pidfd < 0 ? -*pidfd : 0;
        if (error) {
            end_child(child);
            if (*pidfd >= 0) close(*pidfd);
        }
    }
    close(ends[0]);
    return error ? -error : child;
}

struct successor {
    void (*body)(void *context, int report);
    void *context;
    int ends[2];
    pid_t process;
    sem_t made;
};

static void *become_successor(void *argument) {
    struct successor *successor = argument;
    // The process goes on with this thread's stack and variables, while the thread sleeps.
    pid_t process = vfork();
    if (process != 0) {
        if (process < 0) {
            successor->process = -errno;
            sem_post(&successor->made);
        }
        return NULL;
    }
    successor->process = getpid();
    sem_post(&successor->made);
    int report = STDERR_FILENO + 1, null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0) _exit(127);
    if (successor->ends[1] != report && dup3(successor->ends[1], report, O_CLOEXEC) < 0) _exit(127);
    close_from(report + 1);
    // Clears the list: what this process opens gets their numbers.
    chost_close_inherited(&report, 1);
    if (setsid() < 0) _exit(127);
    reset_signals();
    signal(SIGPIPE, SIG_IGN);
    successor->body(successor->context, report);
    _exit(127);
}

// Returns whether all was written.
static int write_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, text, length);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return 0;
        text += count;
        length -= (size_t)count;
    }
    return 1;
}

static ssize_t read_some(int fd, char *text, size_t length) {
    ssize_t count;
    while ((count = read(fd, text, length)) < 0 && errno == EINTR) {}
    return count;
}

// Prints a report, and ends this process with its status; returns where there is none. Nothing here takes a lock.
static void print_report(int report, const char *unheard) {
    unsigned char status;
    char text[1024];
    if (read_some(report, (char *)&status, 1) != 1) return;
    int output = STDERR_FILENO;
    for (ssize_t count; (count = read_some(report, text, sizeof text)) > 0;) {
        char *rest = text, *end = output == STDERR_FILENO ? memchr(text, 0, (size_t)count) : NULL;
        if (end) {
            write_all(output, text, (size_t)(end - text));
            output = STDOUT_FILENO;
            rest = end + 1;
        }
        if (write_all(output, rest, (size_t)(text + count - rest)) || output == STDERR_FILENO) continue;
        write_all(STDERR_FILENO, unheard, strlen(unheard));
        _exit(1);
    }
    _exit(status);
}

int chost_leave_to_successor(
    void (*body)(void *context, int report), void *context, const char *died, const char *unheard
) {
    struct successor successor = {.body = body, .context = context};
    if (pipe2(successor.ends, O_CLOEXEC) < 0) return -errno;
    sem_init(&successor.made, 0, 0);
    // A handler of this process must not run in the other.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, become_successor, &successor);
    if (!error) sem_wait(&successor.made);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(successor.ends[1]);
    int result = error ? -error : successor.process;
    if (result > 0) {
        print_report(successor.ends[0], unheard);
        int status = 0;
        while (waitpid(successor.process, &status, 0) < 0 && errno == EINTR) {}
        if (status != 0) {
            write_all(STDERR_FILENO, died, strlen(died));
            _exit(1);
        }
        result = 0;
    }
    close(successor.ends[0]);
    if (!error) pthread_join(thread, NULL);
    return result;
}

int chost_pidfd_open(pid_t process) { return chost_result((int)syscall(SYS_pidfd_open, process, 0)); }

int chost_pidfd_signal(int pidfd, int signal) {
    return chost_result((int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}
