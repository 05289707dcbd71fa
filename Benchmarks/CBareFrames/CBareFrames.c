// SPDX-License-Identifier: Apache-2.0

#include "CBareFrames.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

double bare_processor_time(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

void bare_tap_send(int tap, void *header, void *frame, size_t size, int count) {
    struct iovec places[2] = {{header, 12}, {frame, size}};
    while (count-- > 0 && writev(tap, places, 2) > 0) {
    }
}

int bare_tap_receive(int tap, void *buffers, size_t size, int count) {
    int frames = 0;
    while (1) {
        char *header = (char *)buffers + frames % count * size;
        struct iovec places[2] = {{header, 12}, {header + 12, 65550}};
        if (readv(tap, places, 2) <= 0) return frames;
        frames++;
    }
}

void bare_stream_send(int socket, void *frame, size_t size, int count) {
    uint32_t length = htonl(size);
    struct iovec places[2] = {{&length, sizeof length}, {frame, size}};
    struct msghdr message = {.msg_iov = places, .msg_iovlen = 2};
    while (count-- > 0 && sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
}

void bare_drain(int socket) {
    static char bytes[1 << 20];
    while (recv(socket, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

int bare_packet_socket(const char *name) {
    int packets = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(name)};
    if (packets >= 0 && bind(packets, (struct sockaddr *)&address, sizeof address) == 0) return packets;
    close(packets);
    return -1;
}

void bare_packet_send(int socket, void *frame, size_t size, int count) {
    while (count-- > 0 && send(socket, frame, size, 0) > 0) {
    }
}
