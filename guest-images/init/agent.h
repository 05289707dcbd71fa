// SPDX-License-Identifier: Apache-2.0
//
// The guest's agent: it runs programs, copies files and lists processes for the host, over vsock; docs/agent.md has the
// messages. One connection is one operation, served by one process (agent-connections.h): a guest that is never asked pays for
// a socket. Freestanding, as init is, for the same reason.

#pragma once

#include "agent-network.h"
#include "agent-program.h"

struct vsock_address {  // struct sockaddr_vm, whose header needs a C library's
    uint16_t family, reserved;
    uint32_t port, cid;
    uint8_t flags, zero[3];
};
enum { FAMILY_VSOCK = 40, CID_ANY = -1, CID_HOST = 2 };

/// A socket with the agent's port, which takes no connection yet; -errno where the kernel has no vsock.
static inline int open_agent_port(void) {
    int listener = (int)CALL(socket, FAMILY_VSOCK, 1 /* SOCK_STREAM */ | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    if (listener < 0) return listener;
    struct vsock_address address = {.family = FAMILY_VSOCK, .port = AGENT_PORT, .cid = (uint32_t)CID_ANY};
    int error = (int)CALL(bind, listener, &address, sizeof address, 0, 0);
    if (!error) return listener;
    sys_close(listener);
    return error;
}

static inline void listen_for_host(int port) { CALL(listen, port, 64, 0, 0, 0); }

/// Takes a connection of the host; -errno where there is none. Programs of the guest itself are turned away.
static inline int accept_host(int listener) {
    struct vsock_address peer = {0};
    unsigned size = sizeof peer;
    int connection = (int)CALL(accept4, listener, &peer, &size, O_CLOEXEC, 0);
    if (connection < 0 || peer.cid == CID_HOST) return connection;
    sys_close(connection);
    return -EPERM;
}

static __thread struct agent_request request;
static __thread int has_box;  // `prepare_box` has succeeded already
_Static_assert(sizeof request + sizeof program + sizeof message + sizeof payload_bytes + sizeof early + sizeof entry_path + 4096 <= VARIABLES_SIZE,
               "variables have room below the thread pointer");

/// Begins to serve from a place, whose memory an earlier process may have had.
static void take_slot(struct agent_slot *slot) {
    own_slot = slot;
    has_box = children.process = 0;
    bounding_set = ~0ull;
    // A peer that reads no more shows as an error of write.
    block_signals(1ull << (13 /* SIGPIPE */ - 1));
}

/// Forgets the operation before.
static void begin_operation(int connection) {
    agent_connection = connection;
    connection_flags = 0;
    message.count = message.sent = 0;
    memset(&request, 0, offsetof(struct agent_request, settings));
    memset(&program, 0, offsetof(__typeof__(program), waiting));
    early.at = early.end = early.unread = 0;
    entry_path[0] = 0;
    received_file = -1;
}

/// Moves this process into a container's file system, for files and lists of processes.
static void visit_container(void) {
    if (request.place == PLACE_GUEST) return;
    const struct agent_slot *container = named_container(&request);
    if (container) sys_close(enter_container(container, CLONE_NEWNS));
}

static __attribute__((noreturn)) void done(uint8_t type) {
    begin(type);
    send_message();
    sys_exit(0);
}

static __attribute__((noreturn)) void put_files(uint32_t count) {
    struct agent_payload payload = {payload_bytes, payload_bytes + count, 0};
    const char *where = keep_string(&request, &payload), *name = keep_string(&request, &payload);
    if (!where || !name || payload.is_short) fail(-EINVAL, "not a place for files", "");
    visit_container();
    CALL(umask, 0, 0, 0, 0, 0);
    // Into a folder that is there, else as a new file or folder of that name.
    int folder = open_at(HERE, where, O_PATH | O_DIRECTORY, 0);
    if (folder == -ENOENT || folder == -ENOTDIR) {
        char parent[4096] = "";
        append(parent, sizeof parent, where);
        size_t n = length(parent);
        while (n > 1 && parent[n - 1] == '/') parent[--n] = 0;
        while (n && parent[n - 1] != '/') n--;
        name = where + n;
        parent[n] = 0;
        folder = open_at(HERE, n ? parent : ".", O_PATH | O_DIRECTORY, 0);
    }
    if (folder < 0) fail(folder, "cannot open ", where);
    receive_tree(folder, name);
    done(FRAME_DONE);
}

static __attribute__((noreturn)) void list_processes(void) {
    visit_container();
    int folder = open_at(HERE, "/proc", O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0) fail(folder, "cannot read ", "/proc");
    char entries[2048] __attribute__((aligned(8)));
    long n;
    while ((n = CALL(getdents64, folder, entries, sizeof entries, 0, 0)) > 0) {
        for (long at = 0; at < n; at += *(uint16_t *)(entries + at + 16)) {
            const char *name = entries + at + 19;  // struct linux_dirent64
            char path[64] = "", text[1024];
            struct stat status;
            if (*name < '0' || *name > '9') continue;
            append(path, 40, "/proc/"), append(path, 40, name);
            if (CALL(stat, path, &status, 0, 0, 0) != 0) continue;
            size_t end = length(path);
            append(path, sizeof path, "/stat");
            if (read_text(path, text, sizeof text) <= 0) continue;
            begin(FRAME_PROCESS);
            put_number(status.st_uid, 4);
            put_string(text);
            path[end] = 0;
            append(path, sizeof path, "/cmdline");
            long count = read_text(path, text, sizeof text);
            for (long i = 0; i < count - 1; i++)
                if (!text[i]) text[i] = ' ';
            put_string(count > 0 ? text : "");
            send_message();
        }
    }
    done(FRAME_END);
}

enum { DISKS_UNUSED, DISKS_EMPTY };

/// Waits until nothing uses some disks any more and, where it is asked for, until they have no contents: those of a container
/// that has ended, whose mounts go a moment later.
static __attribute__((noreturn)) void await_disks(uint32_t count) {
    struct agent_payload payload = {payload_bytes, payload_bytes + count, 0};
    uint32_t wanted = (uint32_t)take_number(&payload, 4);
    int tries = 1200;
    while (payload.at < payload.end) {
        const char *path = take_string(&payload);
        if (payload.is_short) break;
        for (;; tries--) {
            // Whoever opens a disk like this shares it with no file system.
            int disk = open_at(HERE, path, O_RDONLY | O_EXCL, 0);
            uint64_t size = 1;
            if (disk >= 0) {
                sys_ioctl(disk, BLKGETSIZE64, &size);
                sys_close(disk);
                if (wanted == DISKS_UNUSED || !size) break;
            } else if (disk != -EBUSY) fail(disk, "cannot open ", path);
            if (!tries) fail(-EBUSY, "still in use: ", path);
            struct agent_time pause = {0, 25000000};
            CALL(nanosleep, &pause, 0, 0, 0, 0);
        }
    }
    if (payload.is_short || wanted > DISKS_EMPTY) fail(-EINVAL, "not a list of disks", "");
    done(FRAME_DONE);
}

/// Serves one connection, for as long as its operation takes. Returns where this process can serve another one.
static void serve_host(int connection) {
    begin_operation(connection);
    int has_stage = 0;
    for (;;) {
        struct agent_header header = receive();
        if (!request.version && header.type != FRAME_HELLO) fail(-EPROTO, "the first message is not a greeting", "");
        switch (header.type) {
        case FRAME_CLOCK: {
            struct agent_payload payload = {payload_bytes, payload_bytes + header.count, 0};
            struct agent_time time = {(int64_t)take_number(&payload, 8), 0};
            time.nanoseconds = (int64_t)take_number(&payload, 4);
            int error = payload.is_short ? -EINVAL : (int)CALL(clock_settime, 0 /* CLOCK_REALTIME */, &time, 0, 0, 0);
            if (error) fail(error, "cannot set the clock", "");
            continue;
        }
        case FRAME_INTERFACE:
        case FRAME_ROUTE: {
            int error = configure_interface(header.type, payload_bytes, header.count);
            if (error) fail(error, "cannot set up the network", "");
            continue;
        }
        case FRAME_ENTRY:
        case FRAME_DATA: {
            if (!has_stage) fail(-EPROTO, "files before the place where they belong", "");
            if (header.type == FRAME_DATA) {
                receive_data(header.count);
                continue;
            }
            int folder = open_at(HERE, BOX "/files", O_PATH, 0);
            char buffer[24];
            receive_entry(folder, decimal(request.stage_count - 1, buffer), header.count);
            sys_close(folder);
            continue;
        }
        case FRAME_RUN: return run_program(&request);
        case FRAME_GET: {
            struct agent_payload payload = {payload_bytes, payload_bytes + header.count, 0};
            const char *path = keep_string(&request, &payload);
            if (!path || payload.is_short) fail(-EINVAL, "not a path", "");
            visit_container();
            send_tree(HERE, path, 0);
            done(FRAME_END);
        }
        case FRAME_PUT: put_files(header.count);
        case FRAME_PROCESSES: list_processes();
        case FRAME_DISKS: await_disks(header.count);
        default: break;
        }
        int error = agent_configure(&request, header.type, payload_bytes, header.count);
        if (error) fail(error, "a message that this agent does not take", "");
        if (!request.version || request.version > AGENT_VERSION) fail(-EPROTONOSUPPORT, "this guest's agent has versions 1 to 3", "");
        if (header.type == FRAME_CONTAINER && request.place == PLACE_NEW_CONTAINER) {
            error = has_box ? 0 : prepare_box();
            if (error) fail(error, "cannot prepare a container", "");
        }
        if (header.type == FRAME_STAGE) {
            if (request.place != PLACE_NEW_CONTAINER) fail(-EPROTO, "files for a container that is not new", "");
            CALL(umask, 0, 0, 0, 0, 0);
            has_stage = 1;
        }
    }
}
