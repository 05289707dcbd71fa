// SPDX-License-Identifier: Apache-2.0
//
// The isolation topic: what the program may do where it runs. Part of subject.c.

#pragma once

struct sight {
    const char *marker;
    int64_t processes, marked;
};
static void look_at_process(const char *name, void *context) {
    struct sight *sight = context;
    char path[64] = "/proc/", text[1024];
    size_t n = length(name);
    if (n > 20) return;
    memcpy(path + 6, name, n);
    memcpy(path + 6 + n, "/cmdline", 9);
    long size = read_text(path, text, sizeof text);
    sight->processes++;
    // Not the words of this program itself, which hold the marker too.
    if (size > 0 && contains(text, (size_t)size, sight->marker) && !contains(text, (size_t)size, "probes"))
        sight->marked++;
}

/// Opens the disk with these numbers, through a device node of its own making.
static int open_device(const char *folder, uint64_t major, uint64_t minor) {
    if (CALL(chdir, folder, 0, 0, 0, 0)) return -ENOENT;
    long error = CALL(mknod, "device", 060600, major << 8 | (minor & 0xff) | (minor & ~0xffull) << 12, 0, 0);
    if (error) return (int)error;
    int fd = sys_open("device", O_RDONLY | O_CLOEXEC);
    CALL(unlink, "device", 0, 0, 0, 0);
    if (fd < 0) return fd;
    long n = sys_read(fd, buffer, 512);
    sys_close(fd);
    return n < 0 ? (int)n : 0;
}

static int probes(char **words) {
    struct sight sight = {words[0], 0, 0};
    for_each_process(look_at_process, &sight);
    report("processes", sight.processes, sight.marked);
    // Not a module: a kernel that lets the caller load one says ENOEXEC, others say EPERM or have no modules.
    report("module", 0, -CALL(init_module, buffer, 64, "", 0, 0));
    long n = CALL(syslog, 3 /* read all */, buffer, sizeof buffer, 0, 0);
    report("kernel-log", n > 0 ? n : 0, n < 0 ? -n : 0);
    // The frequency that the clock has already: the right is tried, the clock stays as it is.
    struct timex clock = {.modes = 0};
    long error = CALL(adjtimex, &clock, 0, 0, 0, 0);
    clock.modes = ADJ_FREQUENCY;
    if (error >= 0) error = CALL(adjtimex, &clock, 0, 0, 0, 0);
    report("clock", 0, error < 0 ? -error : 0);
    report("disk", 0, -open_device(words[3], number(words[1]), number(words[2])));
    int fd = sys_open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    report("sysrq", 0, fd < 0 ? -fd : 0);
    if (fd >= 0) sys_close(fd);
    return 0;
}

static int fork_until(uint64_t limit) {
    enum { MOST = 1024 };
    static int children[MOST];
    uint64_t count = 0;
    long error = 0;
    while (count < limit && count < MOST) {
        long child = CALL(fork, 0, 0, 0, 0, 0);
        if (child == 0) {
            CALL(prctl, 1 /* PR_SET_PDEATHSIG */, 9, 0, 0, 0);
            for (;;) CALL(pause, 0, 0, 0, 0, 0);
        }
        if (child < 0) {
            error = child;
            break;
        }
        children[count++] = (int)child;
    }
    report("forked", (int64_t)count, -error);
    for (uint64_t i = 0; i < count; i++) CALL(kill, children[i], 9, 0, 0, 0);
    for (uint64_t i = 0; i < count; i++) CALL(wait4, children[i], 0, 0, 0, 0);
    return 0;
}

static __attribute__((noreturn)) void beat(void) {
    for (int64_t i = 1;; i++) {
        char text[24];
        say("beat ", decimal(i, text), 0, 0);
        nap(200);
    }
}
static int crash(void) {
    int fd = sys_open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return failed("open", fd);
    say("crashing", 0, 0, 0);
    nap(100);  // the line shall leave the machine first
    return sys_write(fd, "c", 1) < 0;
}
