// SPDX-License-Identifier: Apache-2.0
//
// The system calls that each kind of thread may make, as programs for seccomp(2).
//
// By hand and not by libseccomp, whose tables and tree of rules take more memory than the whole of this.

#include "RefusedCalls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/fiemap.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

// MARK: - Lists

enum {
    V = CHOST_VCPU, S = CHOST_VSOCK, D = CHOST_DEVICE | S, A = CHOST_API, C = CHOST_CONTROL,
    // Short names for the table below.
    DAC = D | A | C, DC = D | C, VC = V | C, ALL = CHOST_ALL,
};

enum check {
    ALWAYS,
    // An argument is one of the values that the kinds of thread may give.
    REQUEST,
    FAMILY,
    OPTION,
    // Memory is never executable.
    NO_CODE,
    // A thread, and neither a process nor a namespace.
    THREAD,
    // Not the action of SIGSYS: hostile code would live on after a call that is refused.
    SIGNAL,
    // Of the process or the thread itself, whose number is 0.
    OWN_LIMITS,
    OWN_PRIORITY,
    // Answered with ENOSYS: the C library falls back on a call whose arguments a filter can see.
    ABSENT,
};

static const struct rule {
    uint16_t number;
    uint8_t kinds, check;
} rules[] = {
    // Exits, locks, events, and input and output of devices.
    {SYS_ioctl, ALL, REQUEST}, {SYS_futex, ALL}, {SYS_write, ALL}, {SYS_read, ALL}, {SYS_epoll_wait, DC},
    {SYS_epoll_pwait, C}, {SYS_io_uring_enter, DC}, {SYS_preadv, C}, {SYS_pwritev, C}, {SYS_preadv2, DC},
    {SYS_pwritev2, DC}, {SYS_readv, DC}, {SYS_writev, DC}, {SYS_recvmsg, DAC}, {SYS_sendmsg, DC},
    {SYS_recvmmsg, C}, {SYS_sendmmsg, C}, {SYS_recvfrom, DC}, {SYS_sendto, DAC}, {SYS_poll, DAC},
    {SYS_ppoll, C}, {SYS_pread64, DC}, {SYS_pwrite64, DC}, {SYS_fdatasync, DC}, {SYS_fsync, C},
    {SYS_fallocate, DC},
    // Every thread: memory, signals and time. A vCPU's thread sleeps when it is Dispatch's again, and several of them meet at its queue.
    {SYS_mmap, ALL, NO_CODE}, {SYS_mprotect, ALL, NO_CODE}, {SYS_munmap, ALL}, {SYS_mremap, ALL}, {SYS_madvise, ALL},
    {SYS_brk, ALL}, {SYS_rt_sigprocmask, ALL}, {SYS_rt_sigreturn, ALL}, {SYS_rt_sigaction, ALL, SIGNAL},
    {SYS_sigaltstack, C},
    {SYS_tgkill, ALL}, {SYS_gettid, ALL}, {SYS_getpid, ALL}, {SYS_restart_syscall, ALL}, {SYS_sched_yield, ALL},
    {SYS_clock_gettime, ALL}, {SYS_clock_nanosleep, V | DC}, {SYS_getrandom, V | DC}, {SYS_exit, ALL}, {SYS_exit_group, ALL},
    {SYS_prctl, ALL, OPTION}, {SYS_close, ALL},
    // New threads, and the workers of Dispatch, which come and go.
    {SYS_clone, C, THREAD}, {SYS_clone3, C, ABSENT}, {SYS_rseq, C}, {SYS_set_robust_list, C},
    {SYS_setpriority, C, OWN_PRIORITY}, {SYS_sched_getaffinity, C},
    // Events, and sockets that have a path.
    {SYS_timerfd_settime, DC}, {SYS_timerfd_create, C}, {SYS_epoll_ctl, V | DC}, {SYS_epoll_create1, C},
    {SYS_eventfd2, C}, {SYS_socket, S | C, FAMILY}, {SYS_socketpair, C, FAMILY}, {SYS_connect, S | C}, {SYS_accept4, S | A | C},
    {SYS_shutdown, S | A | C}, {SYS_getsockopt, DAC}, {SYS_setsockopt, DAC}, {SYS_getsockname, C}, {SYS_getpeername, C},
    {SYS_bind, C}, {SYS_listen, C}, {SYS_fcntl, DAC}, {SYS_fstat, DC}, {SYS_newfstatat, VC}, {SYS_statx, C},
    {SYS_lseek, C},
    // Files by their path: console logs that rotate, another file for a disk, snapshots, counters.
    {SYS_openat, C}, {SYS_openat2, C}, {SYS_access, C}, {SYS_faccessat, C}, {SYS_faccessat2, C}, {SYS_readlink, C},
    {SYS_readlinkat, C}, {SYS_stat, C}, {SYS_lstat, C}, {SYS_open, C}, {SYS_flock, C}, {SYS_ftruncate, C},
    {SYS_io_uring_setup, C}, {SYS_io_uring_register, C}, {SYS_unlink, C}, {SYS_unlinkat, C}, {SYS_rename, C},
    {SYS_renameat, C}, {SYS_renameat2, C}, {SYS_mkdir, C}, {SYS_mkdirat, C}, {SYS_rmdir, C}, {SYS_link, C}, {SYS_linkat, C},
    {SYS_symlinkat, C}, {SYS_getdents64, C}, {SYS_fchmod, C}, {SYS_fchown, C},
    {SYS_copy_file_range, C}, {SYS_sendfile, C}, {SYS_sync_file_range, C}, {SYS_fadvise64, C},
    {SYS_fstatfs, C}, {SYS_statfs, C}, {SYS_umask, C}, {SYS_getcwd, C}, {SYS_chdir, C}, {SYS_dup, C}, {SYS_dup2, C},
    {SYS_dup3, C}, {SYS_pipe2, C}, {SYS_memfd_create, C}, {SYS_mincore, C}, {SYS_msync, C}, {SYS_close_range, C},
    {SYS_fgetxattr, C}, {SYS_fsetxattr, C}, {SYS_flistxattr, C},
    // A process's questions about itself.
    {SYS_getuid, C}, {SYS_geteuid, C}, {SYS_getgid, C}, {SYS_getegid, C}, {SYS_getpgrp, C}, {SYS_getppid, C},
    {SYS_getrusage, C}, {SYS_sysinfo, C}, {SYS_uname, C}, {SYS_prlimit64, C, OWN_LIMITS}, {SYS_getrlimit, C}, {SYS_times, C},
    {SYS_kill, C}, {SYS_pidfd_send_signal, C}, {SYS_wait4, C}, {SYS_waitid, C}, {SYS_alarm, C}, {SYS_nanosleep, C}, {SYS_membarrier, C},
    // A thread gives rights away before it passes the gate.
    {SYS_seccomp, C}, {SYS_capget, C}, {SYS_capset, C}, {SYS_landlock_create_ruleset, C}, {SYS_landlock_add_rule, C}, {SYS_landlock_restrict_self, C},
    // By their numbers: newer than the headers of some hosts. futex_waitv, futex_wake, futex_wait, futex_requeue.
    {449, C}, {454, C}, {455, C}, {456, C},
};
enum { RULE_COUNT = sizeof rules / sizeof *rules };

// A value of an argument that the kinds may give.
struct value {
    uint32_t value;
    uint8_t kinds;
};

static const struct value requests[] = {
    {KVM_RUN, VC}, {KVM_GET_REGS, VC}, {KVM_SET_REGS, VC}, {KVM_GET_SREGS, VC}, {KVM_SET_SREGS, VC},
    {KVM_GET_MP_STATE, VC}, {KVM_SET_MP_STATE, VC}, {KVM_KVMCLOCK_CTRL, VC}, {KVM_GET_MSRS, VC}, {KVM_SET_MSRS, VC},
    {KVM_GET_XSAVE, VC}, {KVM_SET_XSAVE, VC}, {KVM_GET_XSAVE2, VC}, {KVM_GET_XCRS, VC}, {KVM_SET_XCRS, VC},
    {KVM_GET_VCPU_EVENTS, VC}, {KVM_SET_VCPU_EVENTS, VC}, {KVM_GET_DEBUGREGS, VC}, {KVM_SET_DEBUGREGS, VC},
    {KVM_GET_LAPIC, VC}, {KVM_SET_LAPIC, VC}, {KVM_TRANSLATE, VC}, {KVM_GET_TSC_KHZ, C}, {KVM_SET_TSC_KHZ, C},
    {KVM_GET_CPUID2, C}, {KVM_HAS_DEVICE_ATTR, C}, {KVM_GET_DEVICE_ATTR, C}, {KVM_SET_DEVICE_ATTR, C},
    {KVM_GET_CLOCK, C}, {KVM_SET_CLOCK, C}, {KVM_GET_IRQCHIP, C}, {KVM_SET_IRQCHIP, C}, {KVM_GET_PIT2, C},
    {KVM_SET_PIT2, C}, {KVM_IRQFD, VC}, {KVM_IOEVENTFD, VC}, {KVM_IRQ_LINE, VC}, {KVM_CHECK_EXTENSION, C},
    {KVM_GET_MSR_INDEX_LIST, C}, {KVM_GET_DIRTY_LOG, C}, {KVM_CLEAR_DIRTY_LOG, C}, {KVM_SET_USER_MEMORY_REGION, C},
    // Disks.
    {BLKGETSIZE64, C}, {BLKSSZGET, C}, {BLKPBSZGET, C}, {BLKIOOPT, C}, {BLKROGET, C}, {BLKDISCARD, DC}, {BLKZEROOUT, DC},
    {BLKFLSBUF, DC}, {FICLONE, C}, {FICLONERANGE, C}, {FS_IOC_GETFLAGS, C}, {FS_IOC_FIEMAP, C},
    // Networks.
    {TUNSETOFFLOAD, V | DC}, {TUNSETVNETHDRSZ, V | DC}, {TUNSETVNETLE, V | DC}, {TUNGETIFF, DC},
    {SIOCGIFFLAGS, V | DC}, {SIOCGIFNAME, V | DC}, {SIOCGIFMTU, DC}, {SIOCGIFHWADDR, DC}, {FIONREAD, DC}, {FIONBIO, DC},
    // Terminals: a thread that ends the process puts the user's back.
    {TCGETS, ALL}, {TCSETS, ALL}, {TCSETSW, ALL}, {TIOCGPGRP, ALL}, {TIOCGWINSZ, C}, {FIOCLEX, C},
};
static const struct value families[] = {{AF_UNIX, ALL}};
static const struct value options[] = {
    {PR_SET_NAME, ALL}, {PR_GET_NAME, ALL}, {PR_SET_VMA, ALL}, {PR_SET_NO_NEW_PRIVS, C}, {PR_CAPBSET_READ, C},
    {PR_CAPBSET_DROP, C}, {PR_CAP_AMBIENT, C}, {PR_GET_DUMPABLE, C}, {PR_GET_SECCOMP, C},
};

int chost_filter_count(int kinds) {
    int count = 0;
    for (int i = 0; i < RULE_COUNT; i++) count += (rules[i].kinds & kinds) && rules[i].check != ABSENT;
    return count;
}

// MARK: - Programs

struct program {
    struct sock_filter steps[1024];
    unsigned short count;
};

static void add(struct program *p, unsigned short code, uint32_t k, uint8_t jt, uint8_t jf) {
    p->steps[p->count++] = (struct sock_filter){code, jt, jf, k};
}

static void load(struct program *p, size_t offset) { add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }
static void load_argument(struct program *p, int index) {
    // The lower half, which is all that the kernel looks at of these arguments.
    load(p, offsetof(struct seccomp_data, args) + (size_t)index * 8);
}
static void answer(struct program *p, uint32_t action) { add(p, BPF_RET | BPF_K, action, 0, 0); }

static void add_values(struct program *p, int index, const struct value *values, size_t count, int kinds) {
    load_argument(p, index);
    uint8_t left = 0;
    for (size_t i = 0; i < count; i++) left += (values[i].kinds & kinds) != 0;
    for (size_t i = 0; i < count; i++)
        if (values[i].kinds & kinds) add(p, BPF_JMP | BPF_JEQ | BPF_K, values[i].value, left--, 0);
    answer(p, SECCOMP_RET_TRAP);
    answer(p, SECCOMP_RET_ALLOW);
}

// Answers a call whose number is in the list, after a look at its arguments where `check` wants one.
static void add_check(struct program *p, enum check check, int kinds) {
    switch (check) {
    case ALWAYS: answer(p, SECCOMP_RET_ALLOW); break;
    case ABSENT: answer(p, SECCOMP_RET_ERRNO | ENOSYS); break;
    case REQUEST: add_values(p, 1, requests, sizeof requests / sizeof *requests, kinds); break;
    case FAMILY: add_values(p, 0, families, sizeof families / sizeof *families, kinds); break;
    case OPTION: add_values(p, 0, options, sizeof options / sizeof *options, kinds); break;
    case NO_CODE:
        load_argument(p, 2);
        add(p, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
        answer(p, SECCOMP_RET_ALLOW);
        answer(p, SECCOMP_RET_TRAP);
        break;
    case THREAD:
        // CLONE_VM and CLONE_THREAD, and none of the new namespaces.
        load_argument(p, 0);
        add(p, BPF_ALU | BPF_AND | BPF_K, 0x7e020080 | 0x10000 | 0x100, 0, 0);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0x10000 | 0x100, 0, 1);
        answer(p, SECCOMP_RET_ALLOW);
        answer(p, SECCOMP_RET_TRAP);
        break;
    case OWN_PRIORITY:
        // PRIO_PROCESS is 0 as well.
        load_argument(p, 1);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
        answer(p, SECCOMP_RET_TRAP);
        // fall through
    case OWN_LIMITS:
        load_argument(p, 0);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
        answer(p, SECCOMP_RET_TRAP);
        answer(p, SECCOMP_RET_ALLOW);
        break;
    case SIGNAL:
        // To look at it, with an address of 0, is allowed.
        load_argument(p, 0);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, SIGSYS, 0, 4);
        load_argument(p, 1);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
        load(p, offsetof(struct seccomp_data, args) + 8 + 4);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
        answer(p, SECCOMP_RET_ALLOW);
        answer(p, SECCOMP_RET_TRAP);
        break;
    }
}

// Numbers from `first` to that of the next run, all with the same answer.
struct run {
    uint16_t first;
    int8_t check;  // REFUSED, or an enum check
};
enum { REFUSED = -1, NUMBER_END = 512 };

// By halves: when a filter is installed, the kernel runs it for each number that there is, and the fewer its steps are the
// sooner it is translated.
static void add_runs(struct program *p, const struct run *runs, int count, int kinds) {
    if (count == 1) {
        if (runs->check == REFUSED) answer(p, SECCOMP_RET_TRAP);
        else add_check(p, (enum check)runs->check, kinds);
        return;
    }
    int half = count / 2;
    // A jump that has a condition reaches 255 steps.
    int is_long = count > 64;
    add(p, BPF_JMP | BPF_JGE | BPF_K, runs[half].first, 0, (uint8_t)is_long);
    if (is_long) add(p, BPF_JMP | BPF_JA, 0, 0, 0);
    unsigned short jump = (unsigned short)(p->count - 1);
    add_runs(p, runs, half, kinds);
    unsigned short distance = (unsigned short)(p->count - jump - 1);
    if (is_long) p->steps[jump].k = distance;
    else p->steps[jump].jt = (uint8_t)distance;
    add_runs(p, runs + half, count - half, kinds);
}

static void add_rules(struct program *p, int kinds) {
    int8_t checks[NUMBER_END];
    memset(checks, REFUSED, sizeof checks);
    for (int i = 0; i < RULE_COUNT; i++)
        if ((rules[i].kinds & kinds) && rules[i].number != SYS_ioctl)
            checks[rules[i].number] = (int8_t)rules[i].check;
    struct run runs[NUMBER_END];
    int count = 0;
    for (int number = 0; number < NUMBER_END; number++)
        if (count == 0 || runs[count - 1].check != checks[number])
            runs[count++] = (struct run){(uint16_t)number, checks[number]};
    add_runs(p, runs, count, kinds);
}

static int build(struct program *p, int kinds) {
    load(p, offsetof(struct seccomp_data, arch));
    add(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    answer(p, SECCOMP_RET_KILL_PROCESS);
    if (chost_refusal_mode() == CHOST_FILTER_LOG) {
        uint64_t site = (uint64_t)chost_call_end;
        load(p, offsetof(struct seccomp_data, instruction_pointer));
        add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)site, 0, 3);
        load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
        add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(site >> 32), 0, 1);
        answer(p, SECCOMP_RET_ALLOW);
    }
    load(p, offsetof(struct seccomp_data, nr));
    // The calls of x32 have other numbers for the same.
    add(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
    answer(p, SECCOMP_RET_TRAP);
    // First the one that a vCPU's thread makes at each exit, and whose answer the kernel cannot remember.
    add(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 0);
    unsigned short jump = (unsigned short)(p->count - 1);
    add_check(p, REQUEST, kinds);
    p->steps[jump].jf = (uint8_t)(p->count - jump - 1);
    add_rules(p, kinds);
    return p->count;
}

// One for all threads: on their stacks it would be most of what many of them ever use.
static struct {
    struct program program;
    int kinds;
    enum chost_filter_mode mode;
} built;

int chost_has_filters(void) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 0;
#endif
#endif
    return prctl(PR_GET_SECCOMP) >= 0;
}

static int install(struct sock_filter *steps, unsigned short count, int all_threads) {
    struct sock_fprog filter = {count, steps};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &filter);
    // The id of a thread that has filters of its own.
    return result > 0 ? -EBUSY : chost_result((int)result);
}

int chost_filter_install(int kinds, int all_threads) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    // Signals of this kind are blocked on the workers of Dispatch.
    chost_unblock_signal(SIGSYS);
    pthread_mutex_lock(&lock);
    if (built.kinds != kinds || built.mode != chost_refusal_mode()) {
        built.program.count = 0;
        build(&built.program, kinds);
        built.kinds = kinds;
        built.mode = chost_refusal_mode();
    }
    int result = install(built.program.steps, built.program.count, all_threads);
    pthread_mutex_unlock(&lock);
    return result;
}

int chost_filter_install_own(const uint64_t *steps, int count, int all_threads) {
    chost_unblock_signal(SIGSYS);
    return install((struct sock_filter *)steps, (unsigned short)count, all_threads);
}
