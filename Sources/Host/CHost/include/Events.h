// SPDX-License-Identifier: Apache-2.0
//
// The kernel's event descriptors, which the Glibc module does not show to Swift. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOST_EVENTS_H
#define MARTLET_CHOST_EVENTS_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

static inline int chost_result(int result) { return result < 0 ? -errno : result; }

/// A new eventfd(2), closed on exec and non-blocking.
static inline int chost_eventfd(void) { return chost_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
static inline int chost_eventfd_signal(int event) { return chost_result(eventfd_write(event, 1)); }
/// -EAGAIN where nothing happened.
static inline int chost_eventfd_take(int event, uint64_t *count) { return chost_result(eventfd_read(event, count)); }

/// Makes a signal write to an eventfd, which stays open, instead of its default action.
///
/// A signal that is ignored stays ignored: the parent process wanted that (nohup, `trap ''`). Returns 1 then.
int chost_watch_signal(int signal, int event);
/// Makes a signal, ignored or not, write to an eventfd, and a fault (SIGBUS, SIGSEGV or SIGILL that the kernel raised, or SIGXFSZ for a
/// write of the thread's own) besides end the process with `status`, a second later: the time for a thread that waits for the event.
int chost_watch_fault(int signal, int event, int status);
/// The part of `chost_watch_fault` for a handler of somebody else's; returns where the process is to go on, or nobody watches.
void chost_tell_fault(int signal, siginfo_t *info);
/// Lets the thread that watches end the process, or ends it with `status` a second later: this thread may hold what that one
/// needs. For a handler of a signal.
void chost_await_end(int status) __attribute__((noreturn));
/// Indicates whether a signal is watched by `chost_watch_fault`.
int chost_watches_fault(int signal);
/// The code (siginfo_t) of the last signal that a handler of `chost_watch_fault` saw.
int chost_signal_code(int signal);
/// The number of signals that a handler of `chost_watch_fault` saw since this was asked.
unsigned chost_take_signal_count(int signal);
/// Lets a signal come to the calling thread.
int chost_unblock_signal(int signal);
/// Keeps a signal from coming to the calling thread.
int chost_block_signal(int signal);

/// A new timerfd(2) on CLOCK_MONOTONIC, closed on exec and non-blocking.
static inline int chost_timerfd(void) {
    return chost_result(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}
/// Fires once, `nanoseconds` from now; 0 disarms.
static inline int chost_timerfd_arm(int timer, uint64_t nanoseconds) {
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};
    return chost_result(timerfd_settime(timer, 0, &when, NULL));
}
/// A new epoll(7) instance, closed on exec.
static inline int chost_epoll(void) { return chost_result(epoll_create1(EPOLL_CLOEXEC)); }
/// Adds a descriptor that is told of as bit `index`, below 64, once for each time that it becomes readable (EPOLLET).
static inline int chost_epoll_add(int epoll, int descriptor, unsigned index) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = index};
    return chost_result(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event));
}
/// Waits until some have become readable, and sets their bits.
static inline int chost_epoll_wait(int epoll, uint64_t *ready) {
    struct epoll_event events[16];
    int count = epoll_wait(epoll, events, 16, -1);
    *ready = 0;
    if (count < 0) return -errno;
    for (int i = 0; i < count; i++) *ready |= UINT64_C(1) << events[i].data.u32;
    return count;
}

/// An event of a descriptor, by the token that it was added with.
struct chost_ready {
    uint64_t token;
    /// EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR.
    uint32_t events;
};
enum { CHOST_READABLE = EPOLLIN, CHOST_WRITABLE = EPOLLOUT, CHOST_HUNG_UP = EPOLLHUP | EPOLLRDHUP, CHOST_FAILED = EPOLLERR };
/// Adds a descriptor (EPOLL_CTL_ADD), or changes what is waited for (EPOLL_CTL_MOD): edges of `events`, and of errors and hang-ups.
static inline int chost_epoll_set(int epoll, int is_new, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLET, .data.u64 = token};
    return chost_result(epoll_ctl(epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event));
}
static inline int chost_epoll_remove(int epoll, int descriptor) {
    return chost_result(epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL));
}
/// Takes what has happened, 64 events at most, without waiting; gives their number.
static inline int chost_epoll_take(int epoll, struct chost_ready *ready, int capacity) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, capacity < 64 ? capacity : 64, 0);
    for (int i = 0; i < count; i++) ready[i] = (struct chost_ready){events[i].data.u64, events[i].events};
    return chost_result(count);
}

#pragma clang assume_nonnull end

#endif
