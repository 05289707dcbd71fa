// SPDX-License-Identifier: Apache-2.0
//
// The processes that serve the host's connections, one each. Part of init.c.

#pragma once

static int agent_port, first_agent[2];  // and a pipe whose end is that it has its connection

static void serve_slot(void *pointer) {
    struct agent_slot *slot = pointer;
    block_signals(0);
    take_slot(slot);
    if (slot->connection < 0) {
        slot->connection = await_host(agent_port);
        sys_close(first_agent[0]), sys_close(first_agent[1]);
    }
    serve_host(slot->connection);
}

/// Makes a process that serves a connection of the host, or the next one where that is -1.
static int start_agent(int connection) {
    struct agent_slot *slot = slots;
    while (slot < slots + CONNECTIONS && slot->process) slot++;
    if (slot == slots + CONNECTIONS) return -EAGAIN;
    if (!slot->memory) slot->memory = make_memory();
    if (!slot->memory) return -ENOMEM;
    slot->connection = connection;
    struct clone_args how = {.flags = CLONE_SETTLS, .tls = (uint64_t)slot->memory->thread_pointer};
    // It begins where it can be frozen.
    int process = make_process(&how, slot->memory->stack, sizeof slot->memory->stack, user_space_group, serve_slot, slot);
    if (process > 0) slot->process = process;
    return process;
}

/// Makes the process that serves the host's first connection, and waits until it waits for that.
///
/// Returns what is readable when it has the connection, or there is no such process: then the others are init's.
static int start_first_agent(void) {
    if (CALL(pipe2, first_agent, O_CLOEXEC, 0, 0, 0)) return agent_port;
    int process = start_agent(-1);
    sys_close(first_agent[1]);
    if (process > 0) wait_for_reader(process);
    return first_agent[0];
}

/// Gives a connection of the host a process of its own. With as many as there may be, it is closed at once.
static void serve_connection(void) {
    int connection = accept_host(agent_port);
    if (connection < 0) return;
    start_agent(connection);
    sys_close(connection);
}
