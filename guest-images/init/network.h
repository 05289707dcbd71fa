// SPDX-License-Identifier: Apache-2.0
//
// The guest's host name, and the network interface that the kernel's command line describes. Part of init.c.

#pragma once

/// Reads a number up to `maximum`, and moves behind it; -1 where there is none.
static int take_decimal(const char **p, int maximum) {
    int value = -1;
    for (; **p >= '0' && **p <= '9' && value <= maximum; (*p)++) value = (value < 0 ? 0 : value) * 10 + **p - '0';
    return value <= maximum ? value : -1;
}

/// Reads an address, and moves behind it; 0 where there is none.
static uint32_t take_address(const char **p) {
    uint32_t address = 0;
    for (int shift = 0; shift < 32; shift += 8) {
        int byte = take_decimal(p, 255);
        if (byte < 0 || (shift < 24 && *(*p)++ != '.')) return 0;
        address |= (uint32_t)byte << shift;  // in network order, on a little-endian machine
    }
    return address;
}

static void set_up_name_server(const char *address, size_t count) {
    char text[64] = "nameserver ";
    size_t n = length(text);
    for (size_t i = 0; i < count && n < sizeof text - 1; i++) text[n++] = address[i];
    text[n++] = '\n';
    int file = sys_open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);
    if (file < 0) return complain("cannot write ", "/etc/resolv.conf", file);
    sys_write(file, text, n);
    sys_close(file);
}

/// Does what a martlet.net= says, in a few system calls: DHCP takes a program and a script, which is seconds on some hosts.
static void set_up_interface(int fd, const char *setting) {
    const char *p = setting;
    struct ifreq request = {0};
    for (size_t n = 0; *p > ' ' && *p != ',' && n < IFNAMSIZ - 1; n++) request.ifr_name[n] = *p++;
    uint32_t address = *p == ',' ? (p++, take_address(&p)) : 0;
    int bits = address && *p == '/' ? (p++, take_decimal(&p, 32)) : -1;
    uint32_t router = bits > 0 && *p == ',' ? (p++, take_address(&p)) : 0;
    int error = bits > 0 ? start_interface(fd, &request, address, __builtin_bswap32(~0u << (32 - bits))) : -EINVAL;
    if (!error && router) error = add_route(fd, request.ifr_name, 0, 0, router);
    if (error) return complain("cannot set up the network ", setting, error);
    const char *server = *p == ',' ? ++p : p;
    if (take_address(&p)) set_up_name_server(server, (size_t)(p - server));
}

static void set_up_network_identity(void) {
    char name[65];
    if (read_text("/etc/hostname", name, sizeof name) <= 0) memcpy(name, "martlet", 8);
    int error = (int)CALL(sethostname, name, length(name), 0, 0, 0);
    if (error) complain("cannot set the host name", "", error);
    int fd = open_network();
    if (fd < 0) return;  // a kernel without a network
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    error = sys_ioctl(fd, SIOCSIFFLAGS, &request);
    if (error) complain("cannot start the loopback interface", "", error);
    char *rest = command_line;
    size_t n;
    for (char *word; (word = next_word(&rest, &n));)
        if (starts_with(word, "martlet.net=")) set_up_interface(fd, word + length("martlet.net="));
    sys_close(fd);
}
