// SPDX-License-Identifier: Apache-2.0
//
// Tells the thread sanitizer what Swift's Mutex does where two threads contend for one.
//
// The quick ways of lock and unlock are inlined into code that the sanitizer sees; the slow ones are in libswiftSynchronization,
// where the kernel hands the mutex from one thread to the next (FUTEX_LOCK_PI). These stand before them (LD_PRELOAD, see
// scripts/sanitize.sh). swiftcall and swift_context are how Swift passes self.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self

// Weak, because not every process here is built with the sanitizer.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK_SLOW "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef SWIFT void lock_slow_function(uint32_t thread, SELF);
typedef SWIFT bool try_lock_slow_function(SELF);
typedef SWIFT void unlock_slow_function(SELF);

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) abort();
    return function;
}

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK_SLOW);
SWIFT void lock_slow(uint32_t thread, SELF) {
    ((lock_slow_function *)next(LOCK_SLOW))(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT bool try_lock_slow(SELF) __asm__(TRY_LOCK_SLOW);
SWIFT bool try_lock_slow(SELF) {
    bool is_taken = ((try_lock_slow_function *)next(TRY_LOCK_SLOW))(self);
    if (is_taken && __tsan_acquire) __tsan_acquire(self);
    return is_taken;
}

SWIFT void unlock_slow(SELF) __asm__(UNLOCK_SLOW);
SWIFT void unlock_slow(SELF) {
    if (__tsan_release) __tsan_release(self);
    ((unlock_slow_function *)next(UNLOCK_SLOW))(self);
}
