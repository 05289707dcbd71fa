// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct start {
    void (*body)(void *);
    void *context;
    char name[16];
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    chost_thread_set_name(start.name);
    start.body(start.context);
    return NULL;
}

// All but the signals that a thread raises by its own fault: blocked, these would end the process without their handler.
static void asynchronous_signals(sigset_t *set) {
    static const int synchronous[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(set, synchronous[i]);
}

int chost_thread_start(
    pthread_t *thread, const char *name, size_t stack_byte_count, void (*body)(void *), void *context) {
    struct start *start = calloc(1, sizeof *start);
    if (!start) return -ENOMEM;
    start->body = body;
    start->context = context;
    strncpy(start->name, name, sizeof start->name - 1);
    pthread_attr_t attributes;
    sigset_t blocked, before;
    asynchronous_signals(&blocked);
    pthread_attr_init(&attributes);
    int error = pthread_attr_setstacksize(&attributes, stack_byte_count);
    if (!error) {
        // A thread inherits the mask of its maker: no signal can come to it before it has its own.
        pthread_sigmask(SIG_BLOCK, &blocked, &before);
        error = pthread_create(thread, &attributes, run, start);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    if (error) free(start);
    return -error;
}

int chost_thread_join(pthread_t thread) { return -pthread_join(thread, NULL); }
int chost_thread_detach(pthread_t thread) { return -pthread_detach(thread); }

void chost_thread_set_name(const char *name) { prctl(PR_SET_NAME, name); }
void chost_thread_get_name(char *name16) { prctl(PR_GET_NAME, name16); }

const char *chost_program_name(void) { return program_invocation_short_name; }

void chost_thread_leave_first_processor(void) {
    cpu_set_t allowed, others;
    if (sched_getcpu() != 0 || sched_getaffinity(0, sizeof allowed, &allowed)) return;
    others = allowed;
    CPU_CLR(0, &others);
    // Once elsewhere, nothing brings it back while it runs.
    if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others)) sched_setaffinity(0, sizeof allowed, &allowed);
}
