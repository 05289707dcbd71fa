// SPDX-License-Identifier: Apache-2.0
//
// The network topic: the server sends a byte to each client; the first byte of a client selects the service. Part of subject.c.

#pragma once

enum { ECHO = 'e', SINK = 's', SOURCE = 'r', REQUEST = 64 };

struct place {
    uint16_t family, port;  // the latter in network order, as the address
    uint32_t address;
    uint64_t zero;
};
static struct place place_of(const char *address, const char *port) {
    uint32_t bytes = 0;
    for (int shift = 0; shift < 32; shift += 8) {
        bytes |= (uint32_t)number(address) << shift;
        while (*address && *address++ != '.') {}
    }
    return (struct place){2 /* AF_INET */, __builtin_bswap16((uint16_t)number(port)), bytes, 0};
}
static int stream_socket(void) { return (int)CALL(socket, 2 /* AF_INET */, 1 /* SOCK_STREAM */ | O_CLOEXEC, 0, 0, 0); }
static void set_option(int fd, int name, const int *value, int size) {
    CALL(setsockopt, fd, 1 /* SOL_SOCKET */, name, value, size);
}

static void serve_one(int fd) {
    char want = 0;
    long n;
    if (sys_write(fd, ".", 1) != 1 || sys_read(fd, &want, 1) != 1) return;
    if (want == ECHO)
        while ((n = sys_read(fd, buffer, REQUEST)) > 0 && sys_write(fd, buffer, (size_t)n) == n) {}
    if (want == SOURCE)
        while (sys_write(fd, buffer, CHUNK) > 0) {}
    if (want == SINK) {
        while ((n = sys_read(fd, buffer, CHUNK)) > 0) {}
        if (n == 0) sys_write(fd, ".", 1);
    }
}
static int serve(const char *port) {
    // A client that is gone is no reason to end: SIGPIPE is ignored.
    struct {
        uint64_t handler, flags, restorer, mask;
    } ignore = {1, 0, 0, 0};
    CALL(rt_sigaction, 13, &ignore, 0, 8, 0);
    struct place place = place_of("0.0.0.0", port);
    int fd = stream_socket(), one = 1;
    if (fd < 0) return failed("socket", fd);
    set_option(fd, 2 /* SO_REUSEADDR */, &one, sizeof one);
    long error = CALL(bind, fd, &place, sizeof place, 0, 0);
    if (!error) error = CALL(listen, fd, 64, 0, 0, 0);
    if (error) return failed("listen", error);
    say("ready", 0, 0, 0);
    for (;;) {
        int client = (int)CALL(accept4, fd, 0, 0, O_CLOEXEC, 0);
        if (client < 0) continue;
        serve_one(client);
        sys_close(client);
    }
}

static struct place server;
static long network_error;
static int requests;

/// Connects, and gets the server's byte; then asks for `want`, if it is something.
static int dial(char want) {
    char byte = 0;
    int fd = stream_socket(), reset[2] = {1, 0};
    if (fd < 0) return fd;
    // A reset at the end: connections that wait for late segments would use up the ports.
    set_option(fd, 13 /* SO_LINGER */, reset, sizeof reset);
    long error = CALL(connect, fd, &server, sizeof server, 0, 0);
    if (!error && sys_read(fd, &byte, 1) != 1) error = -EIO;
    if (!error && want && sys_write(fd, &want, 1) != 1) error = -EIO;
    if (!error) return fd;
    sys_close(fd);
    return (int)error;
}
static void call_connect(void) {
    int fd = dial(0);
    if (fd < 0) network_error = fd;
    else sys_close(fd);
}
static void call_request(void) {
    long got = sys_write(requests, buffer, REQUEST) == REQUEST ? 0 : -EIO, n = 1;
    while (got >= 0 && got < REQUEST && (n = sys_read(requests, buffer, REQUEST)) > 0) got += n;
    if (got < 0 || n <= 0) network_error = -EIO;
}
static int transfer(const char *name, char want) {
    int fd = dial(want);
    if (fd < 0) return failed(name, fd);
    uint64_t size = 0, took = 0, began = nanoseconds();
    long n = 1;
    char byte;
    for (; n > 0 && took < 3 * LONG_ENOUGH; took = nanoseconds() - began) {
        n = want == SINK ? sys_write(fd, buffer, CHUNK) : sys_read(fd, buffer, CHUNK);
        if (n > 0) size += (uint64_t)n;
    }
    // All of it has arrived when the server says so.
    if (n > 0 && want == SINK) n = CALL(shutdown, fd, 1, 0, 0, 0) ? -EIO : sys_read(fd, &byte, 1);
    if (n <= 0) return failed(name, n ? n : -EIO);
    report(name, (int64_t)(nanoseconds() - began), (int64_t)size);
    sys_close(fd);
    return 0;
}
static int network(const char *address, const char *port, uint64_t rounds) {
    server = place_of(address, port);
    // The first packet of all waits for the other side's hardware address, and one that was sent too early is sent again.
    call_connect();
    network_error = 0;
    time_calls("connect", call_connect, rounds);
    if (network_error) return failed("connect", network_error);
    requests = dial(ECHO);
    if (requests < 0) return failed("request", requests);
    time_calls("request", call_request, rounds);
    if (network_error) return failed("request", network_error);
    sys_close(requests);
    for (uint64_t i = 0; i < rounds; i++) {
        int status = transfer("send", SINK);
        if (!status) status = transfer("receive", SOURCE);
        if (status) return status;
    }
    return 0;
}
