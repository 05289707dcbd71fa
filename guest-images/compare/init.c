// SPDX-License-Identifier: Apache-2.0
//
// The first process of a machine that `martlet compare` runs:
//
//     init [--data] PROGRAM [ARGUMENT]...        the words after "--" on the kernel's command line
//
// It mounts /proc, with --data also /dev and the first disk on /data, runs PROGRAM, says how it ended, and ends the machine.
// What it says begins with byte 0x1e, so that it cannot be taken for a word of the program:
//
//     i NANOSECONDS      its first action: this much of the kernel's clock has passed
//     p NANOSECONDS      just before PROGRAM starts
//     e STATUS           PROGRAM has ended, as a shell shows it: 128 and more for a signal
//     x WHAT: ERRNO      something that should work did not

#include <linux/mount.h>
#include <linux/reboot.h>
#include <linux/time.h>

#include "../init/freestanding.h"

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

__attribute__((noreturn, used)) static void start(long *stack) {
    int64_t began = nanoseconds();
    char **arguments = (char **)(stack + 1) + 1, **environment = arguments + stack[0];
    tell("i", began);
    mount_at("proc", "/proc", "proc");
    if (*arguments && equal(*arguments, "--data")) {
        arguments++;
        mount_at("dev", "/dev", "devtmpfs");
        mount_at("/dev/vda", "/data", "ext4");
    }
    int status = 127 << 8;
    if (*arguments) {
        tell("p", nanoseconds());
        int child = (int)CALL(fork, 0, 0, 0, 0, 0);
        if (child == 0) {
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
