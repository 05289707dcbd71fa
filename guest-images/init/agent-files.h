// SPDX-License-Identifier: Apache-2.0
//
// Files and folders on their way from and to the host: an ENTRY for each, with a path relative to the first, and DATA.

#pragma once

#include "agent-system.h"

enum { DEPTH_LIMIT = 64, TYPE_MASK = 0170000, TYPE_FOLDER = 0040000, TYPE_FILE = 0100000, TYPE_LINK = 0120000 };

// MARK: - To the host

static __thread char entry_path[4096];

static void send_entry(const struct stat *status, const char *target) {
    begin(FRAME_ENTRY);
    put_number(status->st_mode, 4), put_number(status->st_uid, 4), put_number(status->st_gid, 4);
    put_number((uint64_t)status->st_mtime, 8);
    put_string(entry_path), put_string(target);
    send_message();
}

static void send_file(int file) {
    for (;;) {
        long n = read_frame(FRAME_DATA, file);
        if (n < 0) fail((int)n, "cannot read ", entry_path);
        if (n == 0) return;
        send_all();
    }
}

static void send_tree(int folder, const char *name, int depth);

static void send_folder(int folder, int depth) {
    struct {
        uint64_t inode, offset;
        uint16_t count;
        uint8_t type;
        char name[];
    } *entry;
    char entries[2048] __attribute__((aligned(8)));
    size_t before = length(entry_path);
    for (;;) {
        long n = CALL(getdents64, folder, entries, sizeof entries, 0, 0);
        if (n < 0) fail((int)n, "cannot read ", entry_path);
        if (n == 0) return;
        for (long at = 0; at < n; at += entry->count) {
            entry = (void *)(entries + at);
            if (equal(entry->name, ".") || equal(entry->name, "..")) continue;
            if (before + length(entry->name) + 2 > sizeof entry_path) fail(-ENAMETOOLONG, "cannot send ", entry_path);
            if (before) append(entry_path, sizeof entry_path, "/");
            append(entry_path, sizeof entry_path, entry->name);
            send_tree(folder, entry->name, depth + 1);
            entry_path[before] = 0;
        }
    }
}

/// Sends a file, link or folder with all that is in it. Sockets, pipes and devices are left out.
static void send_tree(int folder, const char *name, int depth) {
    struct stat status;
    int error = (int)CALL(newfstatat, folder, name, &status, NO_FOLLOW, 0);
    if (error == -ENOENT && depth) return;  // gone since it was listed
    if (error) fail(error, "cannot look at ", depth ? entry_path : name);
    char target[4096] = "";
    int type = status.st_mode & TYPE_MASK;
    if (type == TYPE_LINK) {
        long n = CALL(readlinkat, folder, name, target, sizeof target - 1, 0);
        if (n < 0) fail((int)n, "cannot read ", entry_path);
        target[n] = 0;
        send_entry(&status, target);
    } else if (type == TYPE_FILE || type == TYPE_FOLDER) {
        if (depth == DEPTH_LIMIT) fail(-ELOOP, "too many folders in one another: ", entry_path);
        int file = open_at(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (file < 0) fail(file, "cannot open ", depth ? entry_path : name);
        send_entry(&status, "");
        if (type == TYPE_FILE) send_file(file);
        else send_folder(file, depth);
        sys_close(file);
    }
}

// MARK: - From the host

static __thread int received_file;  // -1 for none

/// Opens the folder that holds the last component of a relative path, through no link. -errno where that cannot be.
static int open_parent(int root, char *path, const char **last) {
    int folder = open_at(root, ".", O_PATH | O_DIRECTORY, 0);
    char *component = path;
    for (char *p = path; folder >= 0; p++) {
        if (*p != '/' && *p) continue;
        int is_last = !*p;
        *p = 0;
        if (!*component || equal(component, ".") || equal(component, "..")) {
            sys_close(folder);
            return -EINVAL;
        }
        if (is_last) {
            *last = component;
            return folder;
        }
        int next = open_at(folder, component, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
        sys_close(folder);
        folder = next;
        component = p + 1;
    }
    return folder;
}

/// Makes the file, folder or link of an ENTRY; the DATA behind it goes there.
///
/// - root: The folder beneath which everything is.
/// - name: What stands for the empty path, the first entry's.
static void receive_entry(int root, const char *name, uint32_t count) {
    struct agent_payload payload = {payload_bytes, payload_bytes + count, 0};
    uint32_t mode = (uint32_t)take_number(&payload, 4), uid = (uint32_t)take_number(&payload, 4);
    uint32_t gid = (uint32_t)take_number(&payload, 4);
    int64_t time = (int64_t)take_number(&payload, 8);
    const char *relative = take_string(&payload), *target = take_string(&payload), *last = "";
    if (payload.is_short || length(relative) + length(name) + 2 > sizeof entry_path) fail(-EINVAL, "not an entry", "");
    entry_path[0] = 0;
    append(entry_path, sizeof entry_path, name);
    if (*relative) append(entry_path, sizeof entry_path, "/"), append(entry_path, sizeof entry_path, relative);

    if (received_file >= 0) sys_close(received_file);
    received_file = -1;
    int folder = open_parent(root, entry_path, &last);
    if (folder < 0) fail(folder, "cannot write ", relative);
    int error = 0, type = mode & TYPE_MASK, permissions = mode & 07777;
    if (type == TYPE_FOLDER) {
        error = (int)CALL(mkdirat, folder, last, 0700, 0, 0);
        if (error == -EEXIST) error = 0;
    } else if (type == TYPE_LINK) {
        error = (int)CALL(symlinkat, target, folder, last, 0, 0);
    } else if (type == TYPE_FILE) {
        CALL(unlinkat, folder, last, 0, 0, 0);  // a new file: whoever has the old one open, or runs it, keeps that
        received_file = open_at(folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (received_file < 0) error = received_file;
    } else {
        error = -EINVAL;
    }
    if (error) fail(error, "cannot write ", last);
    error = (int)CALL(fchownat, folder, last, uid, gid, NO_FOLLOW);
    // A user who may not give files away keeps them.
    if (error && error != -EPERM) fail(error, "cannot set the owner of ", last);
    if (type != TYPE_LINK) {
        error = (int)CALL(fchmodat, folder, last, permissions, 0, 0);
        if (error) fail(error, "cannot set the mode of ", last);
    }
    // That of a file is the time of its last DATA, unless it has none: programs that care copy archives.
    struct agent_time times[2] = {{time, 0}, {time, 0}};
    if (type != TYPE_FILE) CALL(utimensat, folder, last, times, NO_FOLLOW, 0);
    sys_close(folder);
}

static void receive_data(uint32_t count) {
    if (received_file < 0) fail(-EPROTO, "data without a file", "");
    size_t done = 0;
    while (done < count) {
        long n = sys_write(received_file, payload_bytes + done, count - done);
        if (n <= 0) fail(n ? (int)n : -EIO, "cannot write a file", "");
        done += (size_t)n;
    }
}

/// Takes a whole tree, up to its END.
static void receive_tree(int root, const char *name) {
    for (;;) {
        struct agent_header header = receive();
        switch (header.type) {
        case FRAME_ENTRY: receive_entry(root, name, header.count); break;
        case FRAME_DATA: receive_data(header.count); break;
        case FRAME_END: return;
        default: fail(-EPROTO, "an unexpected message among files", "");
        }
    }
}
