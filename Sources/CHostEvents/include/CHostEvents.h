// SPDX-License-Identifier: Apache-2.0
//
// The kernel's event descriptors, which the Glibc module does not show to Swift. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOSTEVENTS_H
#define MARTLET_CHOSTEVENTS_H

#include <errno.h>
#include <stdint.h>
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
/// -EAGAIN where it has not fired.
static inline int chost_timerfd_take(int timer, uint64_t *count) {
    return chost_result((int)read(timer, count, sizeof *count));
}

#pragma clang assume_nonnull end

#endif
