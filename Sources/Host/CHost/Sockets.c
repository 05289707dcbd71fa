// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int chost_accept(int listener) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return connection < 0 ? -errno : connection;
}

int chost_peer(int socket, pid_t *pid, uid_t *uid, gid_t *gid) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
        return -errno;
    *pid = peer.pid;
    *uid = peer.uid;
    *gid = peer.gid;
    return 0;
}

enum { FILE_LIMIT = 8 };

union files_message {
    char bytes[CMSG_SPACE(FILE_LIMIT * sizeof(int))];
    struct cmsghdr alignment;
};

int chost_send_files(int socket, const int *files, int count) {
    union files_message control = {.bytes = {0}};
    char byte = 0;
    struct iovec data = {&byte, 1};
    if (count < 1 || count > FILE_LIMIT) return -EINVAL;
    size_t size = (size_t)count * sizeof(int);
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), files, size);
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int chost_receive_files(int socket, int *files, int count) {
    union files_message control = {.bytes = {0}};
    char byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received <= 0) return received == 0 ? 0 : -errno;
    int whole = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int number = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)), kept = !whole && number == count;
        for (int i = 0; i < number; i++) {
            int file;
            memcpy(&file, CMSG_DATA(header) + (size_t)i * sizeof file, sizeof file);
            if (kept) files[i] = file;
            else close(file);
        }
        whole |= kept;
    }
    if (whole && message.msg_flags & MSG_CTRUNC) {
        for (int i = 0; i < count; i++) close(files[i]);
        whole = 0;
    }
    return whole ? 1 : -EBADMSG;
}

int chost_open_folder(const char *path) {
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return folder < 0 ? -errno : folder;
}
