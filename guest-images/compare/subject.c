// SPDX-License-Identifier: Apache-2.0
//
// The program that `martlet compare` runs as a process, in a container and in a virtual machine: the same file in each.
//
//     subject hello                       prints "hello"
//     subject facts                       what it is told about kernel and system: lines "NAME VALUE"
//     subject idle                        prints "ready", then waits for ever
//     subject memory MIB                  "idle", "loaded" (MIB touched), "freed" (given back); a line of input between two
//     subject cpu ROUNDS                  user-mode arithmetic, the same work each round: "cpu NANOSECONDS 1"
//     subject syscalls ROUNDS             "getppid NANOSECONDS COUNT", "open NANOSECONDS COUNT", "fork NANOSECONDS COUNT"
//     subject disk FOLDER ROUNDS          "fsync NANOSECONDS COUNT", "write NANOSECONDS BYTES", "read NANOSECONDS BYTES"
//     subject serve PORT                  "ready", then serves connections, one after the other, for `network`
//     subject network ADDRESS PORT ROUNDS "connect NANOSECONDS COUNT", "request ...", "send NANOSECONDS BYTES", "receive ..."
//     subject probes MARKER MAJOR MINOR FOLDER     what it may do: "NAME VALUE" or "NAME VALUE ERRNO"
//     subject fork-until LIMIT            starts processes that wait, until it may not: "forked COUNT ERRNO"
//     subject touch-until MIB             touches memory, MiB by MiB: "touched MIB"
//     subject beat                        prints "beat NUMBER" five times a second
//     subject crash                       crashes the kernel it runs on, through /proc/sysrq-trigger
//
// Counts and sizes of timed work grow until the work takes long enough to time it, so the same program suits a kernel
// that is interpreted a million instructions a second. The exit status is 0, or 1 after "error WHAT ERRNO", or 64.

#include <linux/errno.h>
#include <linux/mman.h>
#include <linux/time.h>
#include <linux/timex.h>
#include <linux/utsname.h>

#include "../init/freestanding.h"

#ifndef O_DIRECT
#define O_DIRECT 040000
#endif

enum { BLOCK = 4096, CHUNK = 256 << 10, LONG_ENOUGH = 100000000 /* ns */, MAXIMUM_FILE = 64 << 20 };

static uint8_t buffer[CHUNK] __attribute__((aligned(4096)));

static uint64_t nanoseconds(void) {
    struct timespec now = {0, 0};
    CALL(clock_gettime, 1 /* CLOCK_MONOTONIC */, &now, 0, 0, 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
static void nap(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    CALL(nanosleep, &time, 0, 0, 0, 0);
}
static void report(const char *name, int64_t a, int64_t b) {
    char first[24], second[24], line[64];
    const char *text = decimal(a, first);
    size_t n = length(text);
    memcpy(line, text, n);
    line[n] = ' ';
    line[n + 1] = 0;
    say(name, " ", line, decimal(b, second));
}
static int failed(const char *what, long error) {
    char number[24];
    say("error ", what, " ", decimal(-error, number));
    return 1;
}
static uint64_t number(const char *text) {
    uint64_t value = 0;
    while (*text >= '0' && *text <= '9') value = value * 10 + (uint64_t)(*text++ - '0');
    return value;
}
static int contains(const char *text, size_t size, const char *wanted) {
    size_t n = length(wanted);
    for (size_t i = 0; n && i + n <= size; i++) {
        size_t k = 0;
        while (k < n && text[i + k] == wanted[k]) k++;
        if (k == n) return 1;
    }
    return 0;
}

// MARK: - What the system says

/// Calls `see` with the number of each process that /proc shows.
static int for_each_process(void (*see)(const char *number, void *context), void *context) {
    struct entry {
        uint64_t inode, offset;
        uint16_t size;
        uint8_t type;
        char name[];
    };
    static uint8_t entries[32 << 10];
    int fd = sys_open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fd;
    long n;
    while ((n = CALL(getdents64, fd, entries, sizeof entries, 0, 0)) > 0)
        for (long i = 0; i < n; i += ((struct entry *)(entries + i))->size) {
            const char *name = ((struct entry *)(entries + i))->name;
            if (*name >= '1' && *name <= '9') see(name, context);
        }
    sys_close(fd);
    return 0;
}
static void count_process(const char *name, void *count) {
    (void)name;
    ++*(int64_t *)count;
}

/// The last line of the kernel's log, or its error.
static void show_kernel_log(void) {
    char text[24];
    long n = CALL(syslog, 3 /* read all */, buffer, sizeof buffer - 1, 0, 0);
    if (n <= 0) {
        say("kernel-log-error ", decimal(-n, text), 0, 0);
        return;
    }
    while (n && buffer[n - 1] == '\n') n--;
    buffer[n] = 0;
    while (n && buffer[n - 1] != '\n') n--;
    buffer[n + 120] = 0;
    say("kernel-log ", (char *)buffer + n, 0, 0);
}

static void show_file(const char *name, const char *path) {
    char text[400];
    long n = read_text(path, text, sizeof text), end = 0;
    while (end < n && text[end] != '\n') end++;
    text[n > 0 ? end : 0] = 0;
    if (n > 0) say(name, " ", text, 0);
}

static int facts(void) {
    struct new_utsname names = {.release = "?"};
    CALL(uname, &names, 0, 0, 0, 0);
    say("release ", names.release, 0, 0);
    say("version ", names.version, 0, 0);
    say("hostname ", names.nodename, 0, 0);
    show_file("boot-id", "/proc/sys/kernel/random/boot_id");
    show_file("uptime", "/proc/uptime");
    show_file("memory", "/proc/meminfo");
    show_file("command-line", "/proc/cmdline");
    uint64_t mask[16] = {0};
    int64_t processors = 0, processes = 0;
    CALL(sched_getaffinity, 0, sizeof mask, mask, 0, 0);
    for (int i = 0; i < 16 * 64; i++) processors += mask[i / 64] >> i % 64 & 1;
    for_each_process(count_process, &processes);
    char text[24];
    say("processors ", decimal(processors, text), 0, 0);
    say("processes ", decimal(processes, text), 0, 0);
    show_kernel_log();
    return 0;
}

// MARK: - Memory

/// mmap(2): the only call with a sixth argument, which has to be 0.
static uint8_t *map(uint64_t size) {
    long result;
    register long r10 __asm__("r10") = 0x22;  // private, anonymous
    register long r8 __asm__("r8") = -1;
    register long r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(__NR_mmap), "D"(0), "S"(size), "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result < 0 && result > -4096 ? 0 : (uint8_t *)result;
}
static void touch(uint8_t *memory, uint64_t size) {
    // Different in each page: nothing can merge or compress them away.
    for (uint64_t i = 0; i < size; i += 4096) *(volatile uint64_t *)(memory + i) = i * 0x9e3779b97f4a7c15 + 1;
}
static int wait_for_line(void) {
    char byte = 0;
    while (byte != '\n')
        if (sys_read(0, &byte, 1) <= 0) return 0;
    return 1;
}
static int memory(uint64_t size) {
    say("idle", 0, 0, 0);
    if (!wait_for_line()) return 1;
    uint8_t *block = map(size);
    if (!block) return failed("mmap", -ENOMEM);
    touch(block, size);
    say("loaded", 0, 0, 0);
    if (!wait_for_line()) return 1;
    CALL(munmap, block, size, 0, 0, 0);
    say("freed", 0, 0, 0);
    wait_for_line();
    return 0;
}
static int touch_until(uint64_t mebibytes) {
    for (uint64_t i = 0; i < mebibytes; i++) {
        // Bit by bit: a kernel may refuse at once what is more than it has, and it is the limit that is wanted.
        uint8_t *block = map(1 << 20);
        if (!block) return failed("mmap", -ENOMEM);
        touch(block, 1 << 20);
        char text[24];
        if (i % 4 == 3 || i + 1 == mebibytes) say("touched ", decimal((int64_t)i + 1, text), 0, 0);
    }
    return 0;
}

// MARK: - Timed work

/// xorshift64*: each step needs the one before, so it is the processor's pace that counts, not the compiler's skill.
static uint64_t arithmetic(uint64_t steps) {
    uint64_t x = 88172645463325252;
    while (steps--) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        x *= 2685821657736338717;
    }
    return x;
}
static int cpu(uint64_t rounds) {
    volatile uint64_t sink = arithmetic(10000000);
    while (rounds--) {
        uint64_t began = nanoseconds();
        sink = arithmetic(50000000);
        report("cpu", (int64_t)(nanoseconds() - began), 1);
    }
    (void)sink;
    return 0;
}

static void call_getppid(void) { CALL(getppid, 0, 0, 0, 0, 0); }
static void call_open(void) { sys_close((int)CALL(open, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0)); }
static void call_fork(void) {
    int child = (int)CALL(fork, 0, 0, 0, 0, 0);
    if (child == 0) sys_exit(0);
    if (child > 0) CALL(wait4, child, 0, 0, 0, 0);
}
static void time_calls(const char *name, void (*call)(void), uint64_t rounds) {
    uint64_t count = 1, took = 0;
    for (;; count *= 2) {
        uint64_t began = nanoseconds();
        for (uint64_t i = 0; i < count; i++) call();
        took = nanoseconds() - began;
        if (took >= LONG_ENOUGH / 2) break;
    }
    while (rounds--) {
        uint64_t began = nanoseconds();
        for (uint64_t i = 0; i < count; i++) call();
        report(name, (int64_t)(nanoseconds() - began), (int64_t)count);
    }
}
static int syscalls(uint64_t rounds) {
    time_calls("getppid", call_getppid, rounds);
    time_calls("open", call_open, rounds);
    time_calls("fork", call_fork, rounds);
    return 0;
}

static int disk(const char *folder, uint64_t rounds) {
    if (CALL(chdir, folder, 0, 0, 0, 0)) return failed("chdir", CALL(chdir, folder, 0, 0, 0, 0));
    for (size_t i = 0; i < sizeof buffer; i++) buffer[i] = (uint8_t)(i * 37 + (i >> 8));
    while (rounds--) {
        long error = 0;
        int fd = (int)CALL(open, "blocks", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, 0, 0);
        if (fd < 0) return failed("open", fd);
        // In place: the file's size and blocks are settled first, so that a sync writes the block and little else.
        if (CALL(pwrite64, fd, buffer, 64 * BLOCK, 0, 0) != 64 * BLOCK) error = -EIO;
        if (!error) error = CALL(fsync, fd, 0, 0, 0, 0);
        uint64_t began = nanoseconds(), took = 0, count = 0;
        while (!error && took < LONG_ENOUGH) {
            if (CALL(pwrite64, fd, buffer, BLOCK, count % 64 * BLOCK, 0) != BLOCK) error = -EIO;
            if (!error) error = CALL(fdatasync, fd, 0, 0, 0, 0);
            count++;
            took = nanoseconds() - began;
        }
        if (error) return failed("fsync", error);
        report("fsync", (int64_t)took, (int64_t)count);
        sys_close(fd);

        fd = (int)CALL(open, "stream", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644, 0, 0);
        if (fd < 0) return failed("open", fd);
        uint64_t size = 0;
        began = nanoseconds();
        for (took = 0; took < 3 * LONG_ENOUGH && size < MAXIMUM_FILE; took = nanoseconds() - began, size += CHUNK)
            if (CALL(pwrite64, fd, buffer, CHUNK, size, 0) != CHUNK) return failed("write", -EIO);
        error = CALL(fsync, fd, 0, 0, 0, 0);
        if (error) return failed("fsync", error);
        report("write", (int64_t)(nanoseconds() - began), (int64_t)size);
        sys_close(fd);

        // Past this kernel's page cache; where the file system has none to go past, the cache is read.
        fd = sys_open("stream", O_RDONLY | O_DIRECT | O_CLOEXEC);
        if (fd == -EINVAL) fd = sys_open("stream", O_RDONLY | O_CLOEXEC);
        if (fd < 0) return failed("open", fd);
        uint64_t done = 0;
        began = nanoseconds();
        for (took = 0; took < 3 * LONG_ENOUGH && done < size; took = nanoseconds() - began, done += CHUNK)
            if (CALL(pread64, fd, buffer, CHUNK, done, 0) != CHUNK) return failed("read", -EIO);
        report("read", (int64_t)took, (int64_t)done);
        sys_close(fd);
        CALL(unlink, "stream", 0, 0, 0, 0);
        CALL(unlink, "blocks", 0, 0, 0, 0);
    }
    return 0;
}

#include "network.h"

#include "isolation.h"

// MARK: - Entry

static int run(int count, char **words) {
    const char *command = count > 1 ? words[1] : "";
    if (equal(command, "hello")) return say("hello", 0, 0, 0), 0;
    if (equal(command, "facts")) return facts();
    if (equal(command, "idle")) {
        say("ready", 0, 0, 0);
        for (;;) CALL(pause, 0, 0, 0, 0, 0);
    }
    if (equal(command, "beat")) beat();
    if (equal(command, "crash")) return crash();
    if (equal(command, "memory") && count > 2) return memory(number(words[2]) << 20);
    if (equal(command, "cpu") && count > 2) return cpu(number(words[2]));
    if (equal(command, "syscalls") && count > 2) return syscalls(number(words[2]));
    if (equal(command, "disk") && count > 3) return disk(words[2], number(words[3]));
    if (equal(command, "serve") && count > 2) return serve(words[2]);
    if (equal(command, "network") && count > 4) return network(words[2], words[3], number(words[4]));
    if (equal(command, "probes") && count > 5) return probes(words + 2);
    if (equal(command, "fork-until") && count > 2) return fork_until(number(words[2]));
    if (equal(command, "touch-until") && count > 2) return touch_until(number(words[2]));
    say("subject: the first lines of subject.c say what it understands", 0, 0, 0);
    return 64;
}

__attribute__((noreturn, used)) static void start(long *stack) {
    sys_exit(run((int)stack[0], (char **)(stack + 1)));
}
