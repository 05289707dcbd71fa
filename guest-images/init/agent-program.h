// SPDX-License-Identifier: Apache-2.0
//
// A program that the agent has started: its streams, its signals, what the host asks of it, and its end.

#pragma once

#include "agent-process.h"

// MARK: - Its streams

static int is_sending(void) { return message.count > program.held; }
static int has_room(void) { return sizeof message.bytes - message.count > 1024; }

static void kill_program(void) {
    CALL(kill, -program.process, AGENT_SIGKILL, 0, 0, 0);
    CALL(kill, program.process, AGENT_SIGKILL, 0, 0, 0);
}

static __attribute__((noreturn)) void leave(const struct agent_request *request) {
    if (!program.has_exited) kill_program();
    if (request->place == PLACE_NEW_CONTAINER) {
        forget_container();
        if (request->is_in_pod) remove_group(request->container);
    }
    sys_exit(0);
}

static void set_size(const uint8_t *bytes, uint32_t count) {
    struct agent_payload payload = {bytes, bytes + count, 0};
    uint16_t size[4] = {(uint16_t)take_number(&payload, 2), (uint16_t)take_number(&payload, 2)};
    if (program.is_terminal && !payload.is_short && program.output >= 0) sys_ioctl(program.output, TIOCSWINSZ, size);
}

static void close_input(void) {
    // The end of a terminal's input is a key.
    if (program.is_terminal) {
        if (program.waiting_count < sizeof program.waiting) program.waiting[program.waiting_count++] = 4;
        program.input_ends = 0;
    } else if (!program.waiting_count && program.input >= 0) {
        sys_close(program.input);
        program.input = -1;
    }
}

static void stop_blocking(int fd, int access) { CALL(fcntl, fd, F_SETFL, access | O_NONBLOCK, 0, 0); }

static void write_input(void) {
    long n = sys_write(program.input, program.waiting, program.waiting_count);
    if (n == -EAGAIN || n == -EINTR) return;
    if (n < 0) {  // nobody reads any more: the rest goes nowhere
        if (!program.is_terminal) sys_close(program.input);
        program.input = -1;
        n = (long)program.waiting_count;
    }
    program.waiting_count -= (size_t)n;
    for (size_t i = 0; i < program.waiting_count; i++) program.waiting[i] = program.waiting[i + (size_t)n];
    program.taken += (size_t)n;
    if (program.input_ends && !program.waiting_count) close_input();
}

// MARK: - Signals that come early

enum { SIGNAL_PATIENCE = 50 };  // tenths of a second

/// Returns whether the program has no handler for a signal: the kernel discards such a signal to the first process of a PID namespace.
static int is_unhandled(int signal) {
    char path[64], text[2048];
    number_path(path, sizeof path, "/proc/", program.process, "/status");
    if (read_text(path, text, sizeof text) <= 0) return 0;
    for (const char *p = text; *p; p++) {
        if (p[0] != '\n' || !starts_with(p + 1, "SigCgt:\t")) continue;
        uint64_t handled = 0;
        for (p += 9; *p && *p != '\n'; p++) handled = handled << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
        return !(handled >> (signal - 1) & 1);
    }
    return 0;
}

/// Sends a signal; one that a container's program may be about to handle, since it has just started, waits for that.
static void signal_program(const struct agent_request *request, int signal) {
    if (program.has_exited) return;
    // SIGKILL and SIGSTOP are always obeyed, and all of them where it is not the first of its namespace.
    int may_wait = request->place == PLACE_NEW_CONTAINER && !(request->shared & SHARES_PROCESSES) && signal != AGENT_SIGKILL && signal != 19;
    if (may_wait && program.held_for < SIGNAL_PATIENCE && is_unhandled(signal)) program.held_signals |= 1ull << (signal - 1);
    else CALL(kill, program.process, signal, 0, 0, 0);
}

static void send_held_signals(const struct agent_request *request) {
    uint64_t held = program.held_signals;
    program.held_for++;
    program.held_signals = 0;
    for (int signal = 1; signal <= 64; signal++)
        if (held >> (signal - 1) & 1) signal_program(request, signal);
}

// MARK: - What the host asks of it

/// Does what the host asks of the running program. False for what it may not send.
static int handle(const struct agent_request *request, uint8_t type, const uint8_t *bytes, uint32_t count) {
    switch (type) {
    case FRAME_INPUT:
        // More than it was told that there is room for.
        if (program.waiting_count + program.taken + count > sizeof program.waiting) return 0;
        if (program.input < 0) {
            program.taken += count;
            return 1;
        }
        if (!program.has_input && !program.is_terminal) stop_blocking(program.input, O_WRONLY);
        program.has_input = 1;
        memcpy(program.waiting + program.waiting_count, bytes, count);
        program.waiting_count += count;
        return 1;
    case FRAME_INPUT_END:
        program.input_ends = 1;
        if (!program.waiting_count) close_input();
        return 1;
    case FRAME_SIGNAL: {
        struct agent_payload payload = {bytes, bytes + count, 0};
        uint32_t signal = (uint32_t)take_number(&payload, 4);
        if (payload.is_short || signal == 0 || signal > 64) return 0;
        signal_program(request, (int)signal);
        return 1;
    }
    case FRAME_SIZE: set_size(bytes, count); return 1;
    default: return 0;
    }
}

/// Takes what came from the host: what has been read already, or all there is. False where it has gone.
static int read_messages(const struct agent_request *request, int may_read) {
    uint8_t *header = program.frame;
    for (;;) {
        struct agent_header frame = {0, 0};
        if (program.frame_count >= 8) frame = decode_header(header);
        size_t wanted = 8 + frame.count;
        if (program.frame_count == wanted && program.frame_count >= 8) {
            program.frame_count = 0;
            if (!handle(request, frame.type, payload_bytes, frame.count)) return 0;
            continue;
        }
        if (!may_read && early.at == early.end) return 1;
        int in_header = program.frame_count < 8;
        uint8_t *to = in_header ? header + program.frame_count : payload_bytes + program.frame_count - 8;
        long n = read_connection(to, (in_header ? 8 : wanted) - program.frame_count);
        if (n == -EAGAIN || n == -EINTR) return 1;
        if (n <= 0) return 0;
        program.frame_count += (size_t)n;
    }
}

/// Makes a frame of what the program wrote, where there is something. Closes the stream at its end.
static void read_output(int *stream, uint8_t type) {
    long n = read_frame(type, *stream);
    if (n > 0 || n == -EINTR || (n == -EAGAIN && !program.has_exited)) return;
    if (*stream == program.input) program.input = -1;
    sys_close(*stream);
    *stream = -1;
}

/// Serves the program until the host knows of its end.
static void serve_program(const struct agent_request *request) {
    // A host that reads nothing must not keep its own signals from the program.
    connection_flags = DO_NOT_WAIT;
    stop_blocking(program.output, program.is_terminal ? O_RDWR : O_RDONLY);
    if (!program.is_terminal) stop_blocking(program.error_output, O_RDONLY);
    // No event tells of what has been read already.
    if (!read_messages(request, 0)) leave(request);
    if (early.unread) await_bytes_beyond(early.unread);
    for (;;) {
        if (has_room() && program.taken >= AGENT_INPUT_WINDOW / 4) {
            begin(FRAME_TAKEN);
            put_number(program.taken, 4);
            finish();
            program.taken = 0;
        }
        while (has_room() && program.has_exited) {
            // All that it wrote is there already; those who hold its streams still are no part of it.
            if (program.output >= 0) read_output(&program.output, FRAME_OUTPUT);
            else if (program.error_output >= 0) read_output(&program.error_output, FRAME_ERROR_OUTPUT);
            else {
                if (request->place == PLACE_NEW_CONTAINER) CALL(sync, 0, 0, 0, 0, 0);
                begin(FRAME_EXIT);
                put_number((uint32_t)program.status, 4);
                return send_message();
            }
        }
        if (is_sending()) {
            long n = send_some();
            if (n < 0 && n != -EAGAIN && n != -EINTR) leave(request);
            if (!message.count) {
                program.held = 0;
                // No event tells of what is left in the pipes of a program that has ended.
                if (program.has_exited) continue;
            }
        }
        int may_read = !is_sending() && !program.has_exited;
        struct pollfd set[] = {
            {.fd = agent_connection, .events = (short)(POLLIN | (is_sending() ? POLLOUT : 0))},
            {.fd = program.waiting_count ? program.input : -1, .events = POLLOUT},
            {.fd = may_read ? program.output : -1, .events = POLLIN},
            {.fd = may_read ? program.error_output : -1, .events = POLLIN},
            {.fd = program.has_exited ? -1 : program.end, .events = POLLIN},
        };
        int is_over = CALL(poll, set, sizeof set / sizeof *set, program.held_signals ? 100 : -1, 0, 0) == 0;
        if (is_over) send_held_signals(request);
        if (set[0].revents & (POLLIN | POLLHUP | POLLERR) && !read_messages(request, 1)) leave(request);
        if (program.waiting_count && program.input >= 0 && set[1].revents) write_input();
        if (set[2].revents && !is_sending() && program.output >= 0) read_output(&program.output, FRAME_OUTPUT);
        if (set[3].revents && has_room() && program.error_output >= 0)
            read_output(&program.error_output, FRAME_ERROR_OUTPUT);
        if (set[4].revents) {
            int error = (int)CALL(wait4, program.process, &program.status, __WALL, 0, 0);
            if (error != -EINTR) program.has_exited = 1;
        }
    }
}

// MARK: - Its start

static __thread uint64_t bounding_set;  // of this process, and so of its programs

/// Gives up the capabilities that programs are not to have. They are gone for good: an agent that has too few leaves the program to
/// another process, which init makes. Not in the program's process, as it is a call for each: most programs leave out the same ones.
static void limit_capabilities(const struct agent_request *request) {
    uint64_t wanted = request->has_capabilities ? request->capabilities[0] : ~0ull;
    if (wanted & ~bounding_set) {
        own_slot->is_passed_on = 1;
        CALL(kill, CALL(getpid, 0, 0, 0, 0, 0), 19 /* SIGSTOP */, 0, 0, 0);  // init hears of that
        sys_exit(0);
    }
    for (int i = 0; i < 64; i++)
        if (bounding_set & ~wanted & 1ull << i && CALL(prctl, PR_CAPBSET_DROP, i, 0, 0, 0) == -EINVAL) break;
    bounding_set = wanted;
}

static void make_pipe(int ends[2]) {
    int error = (int)CALL(pipe2, ends, O_CLOEXEC, 0, 0, 0);
    if (error) fail(error, "cannot make a pipe", "");
}

/// Runs a program to its end, and leaves this process as it was before. Does not return where it cannot be used again.
static void run_program(struct agent_request *request) {
    if (!request->argument_count) fail(-EINVAL, "no program was named", "");
    request->arguments[request->argument_count] = request->variables[request->variable_count] = 0;
    limit_capabilities(request);
    int is_new = request->place == PLACE_NEW_CONTAINER, group = -1;
    const struct agent_slot *container = 0;
    if (request->place == PLACE_CONTAINER || request->place == PLACE_CONTAINER_IF_THERE) {
        container = named_container(request);
        if (container && container->has_group) group = open_group(request->container);
    } else if (is_new) {
        if (find_container(request->container)) fail(-EEXIST, "the container is there already: ", request->container);
        if (!request->base) fail(-EINVAL, "a container needs a root", "");
        if (request->is_in_pod) {
            make_group(request->container, &request->group);
            group = open_group(request->container);
        }
    }
    place_children(container);
    int input[2] = {-1, -1}, output[2] = {-1, -1}, error_output[2] = {-1, -1};
    program.is_terminal = request->options & OPTION_TERMINAL;
    if (!program.is_terminal) make_pipe(input), make_pipe(output), make_pipe(error_output);
    program.streams[0] = input[0], program.streams[1] = output[1], program.streams[2] = error_output[1];
    program.input = input[1], program.output = output[0], program.error_output = error_output[0];
    failure.error = 0;
    // With a terminal, the new process leaves its other end among this one's descriptors.
    struct clone_args how = {.flags = CLONE_VFORK | CLONE_PIDFD | (program.is_terminal ? CLONE_FILES : 0) |
                                      (is_new ? own_namespaces(request) : 0),
                             .pidfd = (uint64_t)&program.end};
    struct agent_memory *memory = own_slot->memory;
    program.process = make_process(&how, memory->program_stack, sizeof memory->program_stack, group, become_program, request);
    if (program.process < 0 || failure.error) {
        if (is_new && request->is_in_pod) remove_group(request->container);
        fail(failure.error ? failure.error : program.process, failure.error ? failure.text : "cannot start a process", "");
    }
    if (group >= 0) sys_close(group);
    if (program.is_terminal) program.input = program.output;
    // The other ends of its outputs stay: that a program closes them, also when it ends, is nothing to wake up for.
    if (program.is_terminal)
        for (int i = 0; i < 3; i++) sys_close(i);
    else sys_close(program.streams[0]);
    if (is_new) {
        // Its file systems stay until this process ends: the host hears of the program's end before the kernel has unmounted them.
        char path[64];
        program.mounts = sys_open(number_path(path, sizeof path, "/proc/", program.process, "/ns/mnt"), O_RDONLY | O_CLOEXEC);
        remember_container(request, program.process);
    }
    begin(FRAME_STARTED);
    put_number((uint32_t)program.process, 4);
    if (request->options & OPTION_LATE_START) finish(), program.held = message.count;
    else send_message();
    serve_program(request);
    // The program's terminal was put among this process's own streams.
    if (is_new || program.is_terminal) leave(request);
    if (program.input >= 0) sys_close(program.input);
    for (int i = 1; i < 3; i++) sys_close(program.streams[i]);
    sys_close(program.end);
}
