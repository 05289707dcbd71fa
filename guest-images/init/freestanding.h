// SPDX-License-Identifier: Apache-2.0
//
// What the guest's own programs share: system calls, a few functions that a C library would give, and the entry point.
// Each program is one source file that includes this and defines `start`.

#pragma once

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <stddef.h>
#include <stdint.h>

// MARK: - System calls: the few that are needed; each returns the result or -errno

static inline long system_call(long number, long a, long b, long c, long d, long e) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = 0;  // mmap's offset, alone
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define CALL(name, a, b, c, d, e) \
    system_call(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static inline int sys_open(const char *path, int flags) {
    return (int)CALL(open, path, flags, 0644 /* where O_CREAT makes it */, 0, 0);
}
static inline long sys_read(int fd, void *to, size_t count) { return CALL(read, fd, to, count, 0, 0); }
static inline long sys_write(int fd, const void *from, size_t count) { return CALL(write, fd, from, count, 0, 0); }
static inline void sys_close(int fd) { CALL(close, fd, 0, 0, 0, 0); }
static inline int sys_ioctl(int fd, unsigned long request, const void *argument) {
    return (int)CALL(ioctl, fd, request, argument, 0, 0);
}
static inline int sys_exists(const char *path) { return CALL(access, path, 0, 0, 0, 0) == 0; }
static inline __attribute__((noreturn)) void sys_exit(int status) {
    CALL(exit_group, status, 0, 0, 0, 0);
    __builtin_trap();  // where a filter refuses the call
}

// MARK: - What a C library would give (the compiler may call the first two by itself)

void *memset(void *to, int value, size_t count) {
    uint8_t *p = to;
    while (count--) *p++ = (uint8_t)value;
    return to;
}
void *memcpy(void *to, const void *from, size_t count) {
    uint8_t *p = to;
    const uint8_t *q = from;
    while (count--) *p++ = *q++;
    return to;
}
static inline size_t length(const char *s) {
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
static inline int starts_with(const char *s, const char *prefix) {
    while (*prefix)
        if (*s++ != *prefix++) return 0;
    return 1;
}
static inline int equal(const char *a, const char *b) { return starts_with(a, b) && length(a) == length(b); }

/// One line on the console, made of up to four parts, in one write so that nothing comes between.
static inline void say(const char *a, const char *b, const char *c, const char *d) {
    const char *part[4] = {a, b, c, d};
    char line[512];
    size_t n = 0;
    for (int i = 0; i < 4 && part[i]; i++)
        for (const char *p = part[i]; *p && n < sizeof line - 1; p++) line[n++] = *p;
    line[n++] = '\n';
    sys_write(1, line, n);
}
static inline const char *decimal(int64_t value, char buffer[24]) {
    char *p = buffer + 23;
    uint64_t n = value < 0 ? -(uint64_t)value : (uint64_t)value;
    *p = 0;
    do *--p = (char)('0' + n % 10);
    while (n /= 10);
    if (value < 0) *--p = '-';
    return p;
}

/// The start of a file's text, without its last newline; how much there was, or -errno.
static inline long read_text(const char *path, char *to, size_t size) {
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fd;
    size_t total = 0;
    long n = 0;
    while (total < size - 1 && (n = sys_read(fd, to + total, size - 1 - total)) > 0) total += (size_t)n;
    sys_close(fd);
    if (n < 0) return n;
    if (total && to[total - 1] == '\n') total--;
    to[total] = 0;
    return (long)total;
}

/// Writes to a file that is there; returns 0 or -errno.
static inline int write_text(const char *path, const char *text) {
    int fd = sys_open(path, O_WRONLY | O_CLOEXEC);
    long n = fd < 0 ? fd : sys_write(fd, text, length(text));
    if (fd >= 0) sys_close(fd);
    return n < 0 ? (int)n : 0;
}

// MARK: - Entry

__attribute__((noreturn, used)) static void start(long *stack);

// The kernel enters with the argument block on the stack.
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
