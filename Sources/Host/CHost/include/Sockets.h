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

/// sendmsg(2): one byte, and descriptors with it (SCM_RIGHTS). Blocks where the socket does.
int chost_send_files(int socket, const int *files, int count);

/// recvmsg(2): at most one byte, and exactly `count` descriptors with it, closed on exec. 0 at the end of the connection; -EBADMSG, and
/// nothing kept, where there is anything else.
int chost_receive_files(int socket, int *files, int count);

/// A folder, to reach what is in it whoever may read it (O_PATH), closed on exec.
int chost_open_folder(const char *path);

#pragma clang assume_nonnull end

#endif
