// SPDX-License-Identifier: Apache-2.0
//
// The handler of SIGSYS, which the kernel sends for a system call that no list has. It logs the call and ends the process; in the
// log's mode it makes the call instead.

#include "RefusedCalls.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

__asm__(".text\n.globl chost_call\n.hidden chost_call\n.type chost_call, @function\nchost_call:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\n"
        "syscall\n.globl chost_call_end\n.hidden chost_call_end\nchost_call_end:\nret\n.size chost_call, .-chost_call\n");

static struct {
    enum chost_filter_mode mode;
    int log, status;
    // One bit a call and kind of thread, by a hash of the thread's name.
    atomic_uchar told[16][64];
} refusal = {.log = -1, .status = -1};

enum chost_filter_mode chost_refusal_mode(void) { return refusal.mode; }

static size_t append(char *line, size_t length, const char *text) {
    while (*text && length < 240) line[length++] = *text++;
    return length;
}

// All that is called from here is async-signal-safe (POSIX.1-2017, 2.4.3), and made by chost_call.
static void tell_refusal(int number, const long *arguments) {
    char line[256], name[16] = {0}, digits[64];
    unsigned hash = 0;
    chost_call(SYS_prctl, PR_GET_NAME, (long)name, 0, 0, 0, 0);
    for (const char *c = name; *c; c++) hash = hash * 31 + (unsigned char)*c;
    if (refusal.mode == CHOST_FILTER_LOG && number >= 0 && number < 512 &&
        atomic_fetch_or(&refusal.told[hash % 16][number / 8], 1 << number % 8) & 1 << number % 8)
        return;
    size_t length = 0;
    if (refusal.status >= 0 && refusal.mode == CHOST_FILTER_ENFORCE) {
        // Firecracker's words, which its users look for.
        snprintf(digits, sizeof digits, "intercepting a bad syscall (%d).\n", number);
        length = append(line, append(line, 0, "Shutting down VM after "), digits);
    }
    length = append(line, length, "martlet: the system call ");
    length = append(line, length, chost_system_call_name(number));
    snprintf(digits, sizeof digits, " (%d, 0x%lx", number, (unsigned long)arguments[0]);
    length = append(line, length, digits);
    snprintf(digits, sizeof digits, ", 0x%lx", (unsigned long)arguments[1]);
    length = append(line, length, digits);
    snprintf(digits, sizeof digits, ", 0x%lx) of the thread '", (unsigned long)arguments[2]);
    length = append(line, length, digits);
    length = append(line, length, name);
    length = append(line, length, refusal.mode == CHOST_FILTER_LOG
        ? "' is not in its list" : "' is not in its list: it is refused, and the process ends");
    line[length++] = '\n';
    chost_call(SYS_write, STDERR_FILENO, (long)line, (long)length, 0, 0, 0);
    if (refusal.log >= 0) chost_call(SYS_write, refusal.log, (long)line, (long)length, 0, 0, 0);
}

static void handle_refusal(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long a[6] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX], registers[REG_R10], registers[REG_R8],
                 registers[REG_R9]};
    int number = info->si_code == 1 ? info->si_syscall : -1;  // SYS_SECCOMP
    if (number < 0) {  // from outside
        if (chost_watches_fault(signal)) return chost_tell_fault(signal, info);
        _exit(1);
    }
    tell_refusal(number, a);
    if (refusal.mode == CHOST_FILTER_LOG) {
        registers[REG_RAX] = chost_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        return;
    }
    if (refusal.status >= 0 && chost_watches_fault(signal)) {
        chost_tell_fault(signal, info);
        chost_await_end(refusal.status);
    }
    chost_terminal_restore();
    if (refusal.status >= 0) _exit(refusal.status);
    // Blocked here, so that the kernel ends the process by it: for a call that no list has.
    syscall(SYS_vhangup);
    _exit(1);
}

int chost_filter_prepare(enum chost_filter_mode mode, int log, int status) {
    // The C library opens /etc/localtime the first time that anybody asks for a date.
    tzset();
    refusal.mode = mode;
    refusal.log = log;
    refusal.status = status;
    struct sigaction action = {.sa_sigaction = handle_refusal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return chost_result(sigaction(SIGSYS, &action, NULL));
}
