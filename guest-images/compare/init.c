// SPDX-License-Identifier: Apache-2.0
//
// The first process of a machine that `martlet compare` runs:
//
//     init [--point] [--net ADDRESS] [--data] PROGRAM [ARGUMENT]...      the words after "--" on the kernel's command line
//
// It mounts /proc, with --net gives eth0 an address in a network of 256, with --data mounts also /dev and
// the first disk on /data, runs PROGRAM, says how it ended, and ends the machine. With --point it prints "point" before
// PROGRAM starts, and waits until somebody saves the machine: PROGRAM runs in what goes on from there.
// What it says begins with byte 0x1e, so that it cannot be taken for a word of the program:
//
//     i NANOSECONDS      its first action: this much of the kernel's clock has passed
//     p NANOSECONDS      just before PROGRAM starts, without --point
//     e STATUS           PROGRAM has ended, as a shell shows it: 128 and more for a signal
//     x WHAT: ERRNO      something that should work did not

#include <linux/if.h>
#include <linux/in.h>
#include <linux/mount.h>
#include <linux/reboot.h>
#include <linux/sockios.h>

#include "../init/freestanding.h"
#include "../init/snapshot.h"

static void tell(const char *what, int64_t number) {
    char buffer[24];
    say("\x1e", what, " ", decimal(number, buffer));
}

static int64_t nanoseconds(void) {
    struct timespec now = {0, 0};
    CALL(clock_gettime, 7 /* CLOCK_BOOTTIME */, &now, 0, 0, 0);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void mount_at(const char *what, const char *where, const char *type) {
    long error = CALL(mount, what, where, type, MS_NOSUID, 0);
    char buffer[24];
    if (error) say("\x1ex cannot mount ", where, ": ", decimal(-error, buffer));
}

static void start_network(const char *address) {
    uint32_t bytes = 0;
    for (int shift = 0; shift < 32; shift += 8, address += *address == '.') {
        uint32_t byte = 0;
        while (*address >= '0' && *address <= '9') byte = byte * 10 + (uint32_t)(*address++ - '0');
        bytes |= byte << shift;
    }
    struct ifreq request = {.ifr_name = "eth0"};
    struct sockaddr_in in = {.sin_family = 2 /* AF_INET */, .sin_addr = {bytes}};
    memcpy(&request.ifr_addr, &in, sizeof request.ifr_addr);
    int fd = (int)CALL(socket, 2 /* AF_INET */, 2 /* SOCK_DGRAM */, 0, 0, 0);
    long error = sys_ioctl(fd, SIOCSIFADDR, &request);
    in.sin_addr.s_addr = 0x00ffffff;  // in network order
    memcpy(&request.ifr_netmask, &in, sizeof request.ifr_netmask);
    if (!error) error = sys_ioctl(fd, SIOCSIFNETMASK, &request);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (!error) error = sys_ioctl(fd, SIOCSIFFLAGS, &request);
    char buffer[24];
    if (error) say("\x1ex cannot start the network: ", decimal(-error, buffer), 0, 0);
    sys_close(fd);
}

/// Waits at a place to go on from, any number of times.
static void wait_for_save(void) {
    mount_at("sys", "/sys", "sysfs");
    mount_at("dev", "/dev", "devtmpfs");
    struct pollfd keyboard = {.fd = sys_open("/dev/input/event0", O_RDWR | O_CLOEXEC), .events = POLLIN};
    if (keyboard.fd < 0 || !find_identity_page()) {
        say("\x1ex cannot take part in snapshots: ", keyboard.fd < 0 ? "no keyboard" : "no identity page", 0, 0);
        return;
    }
    show_lights(&keyboard, 1, 0);
    say("point", 0, 0, 0);
    struct input_event event = {.code = 0};
    while (event.type != EV_KEY || event.code != KEY_SLEEP) sys_read(keyboard.fd, &event, sizeof event);
    pass_snapshot_point(&keyboard, 1);
}

__attribute__((noreturn, used)) static void start(long *stack) {
    int64_t began = nanoseconds();
    char **arguments = (char **)(stack + 1) + 1, **environment = arguments + stack[0];
    tell("i", began);
    mount_at("proc", "/proc", "proc");
    int waits = *arguments && equal(*arguments, "--point");
    arguments += waits;
    if (arguments[0] && arguments[1] && equal(arguments[0], "--net")) {
        start_network(arguments[1]);
        arguments += 2;
    }
    if (*arguments && equal(*arguments, "--data")) {
        arguments++;
        mount_at("dev", "/dev", "devtmpfs");
        mount_at("/dev/vda", "/data", "ext4");
    }
    int status = 127 << 8;
    if (*arguments) {
        if (!waits) tell("p", nanoseconds());
        int child = (int)CALL(fork, 0, 0, 0, 0, 0);
        if (child == 0) {
            if (waits) wait_for_save();
            long error = CALL(execve, *arguments, arguments, environment, 0, 0);
            tell("x cannot start the program:", -error);
            sys_exit(127);
        }
        // Orphans come to us as well; only the program's end counts.
        int one = 0;
        for (long ended = 0; child > 0 && (ended = CALL(wait4, -1, &one, 0, 0, 0)) > 0;)
            if (ended == child) {
                status = one;
                break;
            }
    }
    tell("e", status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
    CALL(sync, 0, 0, 0, 0, 0);
    CALL(umount2, "/data", 0, 0, 0, 0);
    CALL(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0, 0);
    for (;;) CALL(pause, 0, 0, 0, 0, 0);
}
