// SPDX-License-Identifier: Apache-2.0
//
// The processes that serve the host's connections, one each. Part of init.c.

#pragma once

#include <linux/eventpoll.h>

// A process that has run a program waits for the next connection: a new one for each program, made and buried by init, is an eighth of
// what a guest does for a short program. The kernel tells one process of a connection, the first in the listener's queue that waits; init is
// the last, so it takes what comes while nobody else waits, however long the others are busy.
static int agent_port, last_watch;               // and init's own epoll set
static struct agent_slot *waiting_slot;          // the process that waits for a connection; null for none
static __thread int own_watch;                   // -1 for none

static int watch_port(int watch) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    return (int)CALL(epoll_ctl, watch, EPOLL_CTL_ADD, agent_port, &event, 0);
}
/// Puts init at the end of the listener's queue. Readable where there is a connection for it.
static int watch_port_last(void) {
    if (!last_watch) last_watch = (int)CALL(epoll_create1, O_CLOEXEC, 0, 0, 0, 0);
    CALL(epoll_ctl, last_watch, EPOLL_CTL_DEL, agent_port, 0, 0);
    return watch_port(last_watch) ? agent_port : last_watch;
}

/// Waits for a connection of the host's. One process is enough for that: a further one ends.
static int await_host(struct agent_slot *slot) {
    struct agent_slot *nobody = 0;
    if (!__atomic_compare_exchange_n(&waiting_slot, &nobody, slot, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) sys_exit(0);
    if (own_watch < 0) {
        own_watch = (int)CALL(epoll_create1, O_CLOEXEC, 0, 0, 0, 0);
        if (watch_port(own_watch)) sys_exit(0);
        watch_port_last();
    }
    for (;;) {
        struct epoll_event event;
        CALL(epoll_wait, own_watch, &event, 1, -1, 0);
        int connection = accept_host(agent_port);
        if (connection < 0) continue;
        __atomic_store_n(&waiting_slot, 0, __ATOMIC_SEQ_CST);
        return connection;
    }
}

static void serve_slot(void *pointer) {
    struct agent_slot *slot = pointer;
    take_slot(slot);
    own_watch = -1;
    go_first();
    CALL(close_range, 3, agent_port - 1, 0, 0, 0);  // init's: each program would have to close them
    if (slot->connection < 0) {
        has_box = prepare_box() == 0;
        slot->connection = await_host(slot);
    }
    for (;; slot->connection = await_host(slot)) {
        if (slot->goes_on) {
            slot->goes_on = 0;
            agent_connection = slot->connection;
            run_program(&request);
        } else serve_host(slot->connection);
        sys_close(slot->connection);
        if (has_box) sys_exit(0);  // its mounts are not the guest's
    }
}

static int start_slot(struct agent_slot *slot) {
    struct clone_args how = {.flags = CLONE_SETTLS, .tls = (uint64_t)slot->memory->thread_pointer};
    // It begins where it can be frozen.
    int process = make_process(&how, slot->memory->stack, sizeof slot->memory->stack, user_space_group, serve_slot, slot);
    if (process > 0) slot->process = process;
    return process;
}

/// Makes a process that serves a connection of the host, or the next one where that is -1.
static int start_agent(int connection) {
    struct agent_slot *slot = slots;
    while (slot < slots + CONNECTIONS && slot->process) slot++;
    if (slot == slots + CONNECTIONS) return -EAGAIN;
    if (!slot->memory) slot->memory = make_memory();
    if (!slot->memory) return -ENOMEM;
    slot->connection = connection;
    slot->goes_on = 0;
    return start_slot(slot);
}

/// Makes the process that serves the host's first connection, before the guest is saved, and waits until it waits for that: then those
/// that go on from there find a process that has all ready for a container.
static void start_first_agent(void) {
    int process = start_agent(-1);
    if (process > 0) wait_for_reader(process);
}

/// Gives a connection of the host a process of its own. With as many as there may be, it is closed at once.
static void serve_connection(void) {
    int connection = accept_host(agent_port);
    if (connection < 0) return;
    start_agent(connection);
    sys_close(connection);
}

/// Frees the slot of a process that has ended.
static void free_slot(struct agent_slot *slot) {
    slot->process = slot->container = slot->is_passed_on = 0;
    if (waiting_slot == slot) waiting_slot = 0;
}

/// Makes processes that go on for those that have too few capabilities for a program: with what these have read so far.
static void pass_programs_on(void) {
    for (struct agent_slot *slot = slots; slot < slots + CONNECTIONS; slot++) {
        if (!slot->is_passed_on) continue;
        int process = slot->process, file = (int)CALL(pidfd_open, process, 0, 0, 0, 0);
        slot->connection = (int)CALL(pidfd_getfd, file, slot->connection, 0, 0, 0);
        sys_close(file);
        CALL(kill, process, AGENT_SIGKILL, 0, 0, 0);
        CALL(wait4, process, 0, 0, 0, 0);
        free_slot(slot);
        slot->goes_on = 1;
        if (slot->connection >= 0) start_slot(slot);
        sys_close(slot->connection);
    }
}
