// SPDX-License-Identifier: Apache-2.0

// The same frames by bare system calls, which the network device is measured against.

#pragma once

#include <stddef.h>

/// The processor time of this thread in seconds.
double bare_processor_time(void);

/// Writes a header and a frame to a TAP, `count` times.
void bare_tap_send(int tap, void *header, void *frame, size_t size, int count);

/// Reads frames from a TAP until there is none, each to the next of `count` places that lie `size` bytes apart; gives their number.
int bare_tap_receive(int tap, void *buffers, size_t size, int count);

/// Sends a length of 4 bytes and a frame to a stream socket, `count` times; the socket has room for all of them.
void bare_stream_send(int socket, void *frame, size_t size, int count);

/// Throws away all that a socket has.
void bare_drain(int socket);

/// Opens a packet socket that sends frames into the interface `name`; -1 where that fails.
int bare_packet_socket(const char *name);

/// Sends a frame by a packet socket, `count` times.
void bare_packet_send(int socket, void *frame, size_t size, int count);
