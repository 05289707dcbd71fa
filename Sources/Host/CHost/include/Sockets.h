// SPDX-License-Identifier: Apache-2.0
//
// What the Glibc module does not show to Swift of sockets. Each function returns at least 0, or -errno.
#ifndef MARTLET_CHOST_SOCKETS_H
#define MARTLET_CHOST_SOCKETS_H

#include <sys/types.h>

#pragma clang assume_nonnull begin

/// accept4(2): a connection that is non-blocking and closed on exec.
int chost_accept(int listener);

/// The process that connected, or that listened (SO_PEERCRED).
int chost_peer(int socket, pid_t *pid, uid_t *uid, gid_t *gid);

/// The most descriptors that are sent with a message.
enum { CHOST_FILE_LIMIT = 32 };

/// sendmsg(2): bytes, and descriptors with the first of them (SCM_RIGHTS). The number of bytes sent; blocks where the socket does.
ssize_t chost_send_files(int socket, const void *_Nullable bytes, size_t size, const int *files, int count);

/// recvmsg(2): bytes, and the descriptors that came with them, closed on exec: at most CHOST_FILE_LIMIT, the kernel closes others.
ssize_t chost_receive_files(int socket, void *_Nullable bytes, size_t size, int *files, int *count);

/// A folder, to reach what is in it whoever may read it (O_PATH), closed on exec.
int chost_open_folder(const char *path);

#pragma clang assume_nonnull end

#endif
