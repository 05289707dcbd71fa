// SPDX-License-Identifier: Apache-2.0
//
// The program that tests of networks run inside the guest.
//
//     nettool echo PORT [tcp]    sends what comes on each connection to PORT, of vsock or TCP, back, until it is killed;
//                                serves as many connections at once as the kernel lets it have
//     nettool send CID PORT TEXT connects, sends TEXT, ends its direction, and prints what comes until the other side ends
//                                its own: "got BYTES TEXT"
//
// The exit status is 0, or 1 after an error ("error WHAT errno E"), or 64 after wrong words.

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/vm_sockets.h>

#include "../init/freestanding.h"

enum { INTERNET = 2, VSOCK = 40, STREAM = 1, SHUT_WRITING = 1, BACKLOG = 1024, OPEN_FILES = 7 };

static char buffer[65536];

static __attribute__((noreturn)) void fail(const char *what, long error) {
    char number[24];
    say("error ", what, " errno ", decimal(-error, number));
    sys_exit(1);
}

static uint32_t number(const char *text) {
    uint32_t value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (uint32_t)(*text++ - '0');
    return value;
}

static int make_socket(int family) {
    int fd = (int)CALL(socket, family, STREAM, 0, 0, 0);
    if (fd < 0) fail("socket", fd);
    return fd;
}

static int send_all(int fd, const char *from, size_t count) {
    while (count) {
        long done = sys_write(fd, from, count);
        if (done <= 0) return (int)done;
        from += done;
        count -= (size_t)done;
    }
    return 0;
}

static void watch(int events, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data = (uint64_t)fd};
    long error = CALL(epoll_ctl, events, EPOLL_CTL_ADD, fd, &event, 0);
    if (error < 0) fail("epoll_ctl", error);
}

static void echo(uint32_t port, int is_tcp) {
    // Two more than the connections that Martlet's device takes at once, and some for whoever started this.
    uint64_t limit[2] = {2048, 4096};
    CALL(setrlimit, OPEN_FILES, limit, 0, 0, 0);
    int listener = make_socket(is_tcp ? INTERNET : VSOCK), events = (int)CALL(epoll_create1, 0, 0, 0, 0, 0);
    if (events < 0) fail("epoll_create1", events);
    struct sockaddr_vm vsock = {.svm_family = VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
    struct sockaddr_in internet = {.sin_family = INTERNET, .sin_port = __builtin_bswap16((uint16_t)port)};
    long error = is_tcp ? CALL(bind, listener, &internet, sizeof internet, 0, 0) : CALL(bind, listener, &vsock, sizeof vsock, 0, 0);
    if (error == 0) error = CALL(listen, listener, BACKLOG, 0, 0, 0);
    if (error < 0) fail("listen", error);
    watch(events, listener);
    say("listening", 0, 0, 0);
    for (;;) {
        struct epoll_event ready[64];
        long count = CALL(epoll_wait, events, ready, 64, -1, 0);
        if (count < 0 && count != -EINTR) fail("epoll_wait", count);
        for (long i = 0; i < count; i++) {
            int fd = (int)ready[i].data;
            if (fd == listener) {
                fd = (int)CALL(accept, listener, 0, 0, 0, 0);
                if (fd < 0) fail("accept", fd);
                watch(events, fd);
                continue;
            }
            // A write may wait for its reader: enough for those who read what they have sent.
            long got = sys_read(fd, buffer, sizeof buffer);
            if (got <= 0 || send_all(fd, buffer, (size_t)got) < 0) sys_close(fd);
        }
    }
}

static void send_text(uint32_t cid, uint32_t port, const char *text) {
    int fd = make_socket(VSOCK);
    struct sockaddr_vm address = {.svm_family = VSOCK, .svm_port = port, .svm_cid = cid};
    // The kernel's own limit is 2 s, which a guest that is interpreted beside other work may need.
    int64_t patience[2] = {60, 0};
    CALL(setsockopt, fd, VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, patience, sizeof patience);
    long error = CALL(connect, fd, &address, sizeof address, 0, 0);
    if (error < 0) fail("connect", error);
    error = send_all(fd, text, length(text));
    if (error < 0) fail("write", error);
    CALL(shutdown, fd, SHUT_WRITING, 0, 0, 0);
    size_t total = 0;
    for (long count; (count = sys_read(fd, buffer + total, sizeof buffer - 1 - total)) != 0; total += (size_t)count)
        if (count < 0) fail("read", count);
    buffer[total] = 0;
    char size[24];
    say("got ", decimal((int64_t)total, size), " ", buffer);
}

static void start(long *stack) {
    char **words = (char **)(stack + 1);
    long count = stack[0];
    if ((count == 3 || (count == 4 && equal(words[3], "tcp"))) && equal(words[1], "echo")) {
        echo(number(words[2]), count == 4);
    } else if (count == 5 && equal(words[1], "send")) {
        send_text(number(words[2]), number(words[3]), words[4]);
    } else {
        say("usage: nettool echo PORT [tcp] | send CID PORT TEXT", 0, 0, 0);
        sys_exit(64);
    }
    sys_exit(0);
}
