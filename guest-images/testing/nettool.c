// SPDX-License-Identifier: Apache-2.0
//
// The program that tests of vsock run inside the guest.
//
//     nettool echo PORT          sends what comes on each connection to PORT back, one after the other, until it is killed
//     nettool send CID PORT TEXT connects, sends TEXT, ends its direction, and prints what comes until the other side ends
//                                its own: "got BYTES TEXT"
//
// The exit status is 0, or 1 after an error ("error WHAT errno E"), or 64 after wrong words.

#include <linux/errno.h>
#include <linux/vm_sockets.h>

#include "../init/freestanding.h"

enum { VSOCK = 40, STREAM = 1, SHUT_WRITING = 1 };

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

static int make_socket(void) {
    int fd = (int)CALL(socket, VSOCK, STREAM, 0, 0, 0);
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

static void echo(uint32_t port) {
    int listener = make_socket();
    struct sockaddr_vm address = {.svm_family = VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_ANY};
    long error = CALL(bind, listener, &address, sizeof address, 0, 0);
    if (error == 0) error = CALL(listen, listener, 8, 0, 0, 0);
    if (error < 0) fail("listen", error);
    say("listening", 0, 0, 0);
    for (;;) {
        int fd = (int)CALL(accept, listener, 0, 0, 0, 0);
        if (fd < 0) fail("accept", fd);
        for (long count; (count = sys_read(fd, buffer, sizeof buffer)) > 0;)
            if (send_all(fd, buffer, (size_t)count) < 0) break;
        sys_close(fd);
    }
}

static void send_text(uint32_t cid, uint32_t port, const char *text) {
    int fd = make_socket();
    struct sockaddr_vm address = {.svm_family = VSOCK, .svm_port = port, .svm_cid = cid};
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
    if (count == 3 && equal(words[1], "echo")) {
        echo(number(words[2]));
    } else if (count == 5 && equal(words[1], "send")) {
        send_text(number(words[2]), number(words[3]), words[4]);
    } else {
        say("usage: nettool echo PORT | send CID PORT TEXT", 0, 0, 0);
        sys_exit(64);
    }
    sys_exit(0);
}
