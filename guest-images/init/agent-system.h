// SPDX-License-Identifier: Apache-2.0
//
// The system calls of the agent, and its connection: frames that go out whole, and errors in words.

#pragma once

#include <asm/ioctls.h>
#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/wait.h>

#include "agent-request.h"
#include "freestanding.h"

enum { HERE = -100 /* AT_FDCWD */, NO_FOLLOW = 0x100 /* AT_SYMLINK_NOFOLLOW */, ITSELF = 0x1000 /* AT_EMPTY_PATH */, ALL_BELOW = 0x8000 /* AT_RECURSIVE */ };
enum { AGENT_SIGKILL = 9 };

/// struct timespec, whose header some of a C library's headers do not get on with.
struct agent_time {
    int64_t seconds, nanoseconds;
};

static int open_at(int folder, const char *path, int flags, int mode) {
    return (int)CALL(openat, folder, path, flags | O_CLOEXEC, mode, 0);
}
/// Opens a path with every symbolic link, `..` and leading slash resolved inside `root`, whatever an image has there.
static int open_in_root(int root, const char *path, int flags) {
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
    return (int)CALL(openat2, root, path, &how, sizeof how, 0);
}
static int make_folder(const char *path) {
    int error = (int)CALL(mkdir, path, 0755, 0, 0, 0);
    return error == -EEXIST ? 0 : error;
}
static int mount_on(const char *source, const char *target, const char *type, uint64_t flags, const char *data) {
    return (int)CALL(mount, source, target, type, flags, data);
}

/// Adds text to a path or message, which stays short enough for its buffer of `size` bytes.
static void append(char *to, size_t size, const char *text) {
    size_t n = length(to);
    while (*text && n < size - 1) to[n++] = *text++;
    to[n] = 0;
}
static const char *number_path(char *to, size_t size, const char *before, long number, const char *after) {
    char buffer[24];
    to[0] = 0;
    append(to, size, before), append(to, size, decimal(number, buffer)), append(to, size, after);
    return to;
}

/// Puts this process, but not those that it makes, before all that are not of real time. A guest whose programs take all of its
/// processors can still be looked into. And what the agent does in one go the kernel's thread for vsock finds done when its turn comes: the last
/// message and the end of its connection are one turn for the guest and the host, not two.
static inline void go_first(void) {
    int priority = 1;
    CALL(sched_setscheduler, 0, 1 /* SCHED_FIFO */ | 0x40000000 /* SCHED_RESET_ON_FORK */, &priority, 0, 0);
}

static void block_signals(uint64_t set) { CALL(rt_sigprocmask, 2 /* SIG_SETMASK */, &set, 0, sizeof set, 0); }

// MARK: - Processes that share memory

// Copying an address space, copying each page that is written afterwards and freeing all of it is half of what a guest does for a
// short program. So the agent's processes share init's memory, and each has thread-local variables and stacks of its own there.
enum { VARIABLES_SIZE = 1 << 20, STACK_SIZE = 1 << 20, PROGRAM_STACK_SIZE = 64 << 10 };

/// The private part of one agent process: its stack, the stack of a program's process until the program starts, and the thread-local
/// variables, which end where %fs points. Untouched pages cost nothing.
struct agent_memory {
    uint8_t stack[STACK_SIZE], program_stack[PROGRAM_STACK_SIZE], variables[VARIABLES_SIZE];
    void *thread_pointer[8];  // the first one points to itself, as the compiler expects
};

/// Memory for one process after the other; null where the guest has none left.
static inline struct agent_memory *make_memory(void) {
    enum { READ_WRITE = 3, PRIVATE_ANONYMOUS_NO_RESERVE = 0x4022 };
    long place = CALL(mmap, 0, sizeof(struct agent_memory), READ_WRITE, PRIVATE_ANONYMOUS_NO_RESERVE, -1);
    if (place < 0) return 0;
    struct agent_memory *memory = (void *)place;
    memory->thread_pointer[0] = memory->thread_pointer;
    return memory;
}

/// Makes a process that shares this one's memory and calls `run` there, which must not return. Its id, or -errno.
///
/// - group: A control group to begin in, or -1.
static inline int make_process(struct clone_args *how, uint8_t *stack, size_t size, int group, void (*run)(void *), void *argument) {
    long result;
    register void (*r12)(void *) __asm__("r12") = run;
    register void *r13 __asm__("r13") = argument;
    how->flags |= CLONE_VM | (group >= 0 ? CLONE_INTO_CGROUP : 0);
    how->exit_signal = 17 /* SIGCHLD */;
    how->stack = (uint64_t)stack, how->stack_size = size;
    if (group >= 0) how->cgroup = (uint64_t)group;
    __asm__ volatile("syscall\n test %%rax, %%rax\n jnz 1f\n xor %%ebp, %%ebp\n mov %%r13, %%rdi\n call *%%r12\n ud2\n1:"
                     : "=a"(result)
                     : "a"(__NR_clone3), "D"(how), "S"(sizeof *how), "r"(r12), "r"(r13)
                     : "rcx", "r11", "memory");
    return (int)result;
}

// MARK: - The connection

static __thread int agent_connection, connection_flags;  // DO_NOT_WAIT while a program is served
enum { LOOK_ONLY = 2 /* MSG_PEEK */, DO_NOT_WAIT = 0x40 /* MSG_DONTWAIT */ };

/// Frames on their way to the host, of which the last one may be under construction: a header of 8 bytes, then the payload. What is sent
/// together costs the guest and the host one packet.
struct agent_message {
    size_t start, count, sent;
    uint8_t bytes[8 + 16384];
};
static __thread struct agent_message message;
/// As many bytes are kept for a short frame behind those of a file.
enum { SHORT_FRAME = 64 };

static void begin(uint8_t type) {
    message.start = message.count;
    memset(message.bytes + message.start, 0, 8);
    message.bytes[message.start] = type;
    message.count += 8;
}
static void put_number(uint64_t value, unsigned byte_count) {
    for (unsigned i = 0; i < byte_count; i++) message.bytes[message.count++] = (uint8_t)(value >> 8 * i);
}
static void put_string(const char *text) {
    while (*text && message.count < sizeof message.bytes - 1) message.bytes[message.count++] = (uint8_t)*text++;
    message.bytes[message.count++] = 0;
}
/// Sets the header's length, after which the frame is whole.
static void finish(void) {
    size_t count = message.count - message.start - 8;
    for (unsigned i = 0; i < 4; i++) message.bytes[message.start + 4 + i] = (uint8_t)(count >> 8 * i);
}
/// Makes a frame of the next bytes of a file, and returns what read(2) did. There is no frame where there are none.
static long read_frame(uint8_t type, int file) {
    begin(type);
    long n = sys_read(file, message.bytes + message.count, sizeof message.bytes - message.count - SHORT_FRAME);
    if (n > 0) {
        message.count += (size_t)n;
        finish();
    } else message.count = message.start;
    return n;
}
/// Sends some of what is there. -errno where the host has gone, or takes no more for now.
static long send_some(void) {
    long n = CALL(sendto, agent_connection, message.bytes + message.sent, message.count - message.sent, connection_flags, 0);
    if (n > 0) message.sent += (size_t)n;
    if (message.sent == message.count) message.count = message.sent = 0;
    return n;
}
/// Sends all, however long the host takes; what cannot be sent has no reader any more.
static void send_all(void) {
    connection_flags = 0;
    while (message.count) {
        long n = send_some();
        if (n < 0 && n != -EINTR) sys_exit(0);
    }
}
static void send_message(void) {
    finish();
    send_all();
}

/// Tells the host what did not work, and ends this process.
static __attribute__((noreturn)) void fail(int error, const char *what, const char *about) {
    begin(FRAME_FAILED);
    put_number((uint32_t)-error, 4);
    char text[300] = "";
    append(text, sizeof text, what), append(text, sizeof text, about);
    put_string(text);
    send_message();
    sys_exit(1);
}

struct agent_header {
    uint8_t type;
    uint32_t count;
};
static __thread uint8_t payload_bytes[AGENT_PAYLOAD_LIMIT];

/// Bytes that came with others: most messages are a few bytes long, and a system call for each costs more than all else about them.
///
/// The description of a program is only looked at: a socket that has been read empty tells the host of its room, by a packet. What is `unread`
/// is taken out when more comes.
static __thread struct {
    size_t at, end, unread;
    uint8_t bytes[2048];
} early;

static long receive_bytes(void *to, size_t count, int flags) {
    return CALL(recvfrom, agent_connection, to, count, flags | connection_flags, 0);
}
/// Makes the connection readable for poll(2) when it has more than so many bytes.
static void await_bytes_beyond(size_t count) {
    int least = (int)count + 1;
    CALL(setsockopt, agent_connection, 1 /* SOL_SOCKET */, 18 /* SO_RCVLOWAT */, &least, sizeof least);
}

/// read(2) of the connection, by way of `early`.
static long read_connection(void *to, size_t count) {
    if (early.at == early.end) {
        int is_first = !early.end;
        while (early.unread) {
            long n = receive_bytes(early.bytes, early.unread, 0);
            if (n <= 0) return n;
            early.unread -= (size_t)n;
            await_bytes_beyond(0);
        }
        if (count >= sizeof early.bytes) return receive_bytes(to, count, 0);
        long n = receive_bytes(early.bytes, sizeof early.bytes, is_first ? LOOK_ONLY : 0);
        if (n <= 0) return n;
        early.at = 0, early.end = (size_t)n;
        if (is_first) early.unread = early.end;
    }
    if (count > early.end - early.at) count = early.end - early.at;
    memcpy(to, early.bytes + early.at, count);
    early.at += count;
    return (long)count;
}

static void read_all(void *to, size_t count) {
    uint8_t *next = to;
    while (count) {
        long n = read_connection(next, count);
        if (n == -EINTR) continue;
        if (n <= 0) sys_exit(0);  // the host has gone
        next += n, count -= (size_t)n;
    }
}

/// Reads the header of a frame; one that cannot be ends the connection.
static struct agent_header decode_header(const uint8_t header[8]) {
    struct agent_payload count = {header + 4, header + 8, 0};
    struct agent_header result = {header[0], (uint32_t)take_number(&count, 4)};
    if (header[1] || header[2] || header[3] || result.count > AGENT_PAYLOAD_LIMIT) fail(-EPROTO, "not a message", "");
    return result;
}

/// Waits for a whole frame, whose payload is in `payload_bytes`.
static struct agent_header receive(void) {
    uint8_t bytes[8];
    read_all(bytes, sizeof bytes);
    struct agent_header header = decode_header(bytes);
    read_all(payload_bytes, header.count);
    return header;
}
