// SPDX-License-Identifier: Apache-2.0

#include "CHost.h"

#include <link.h>
#include <malloc.h>
#include <nmmintrin.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(
    uint32_t crc, const unsigned char *bytes, size_t length) {
    uint64_t wide = crc, word;
    for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (length-- > 0) crc = _mm_crc32_u8(crc, *bytes++);
    return crc;
}

static uint32_t crc32c_by_bit(uint32_t crc, const unsigned char *bytes, size_t length) {
    while (length-- > 0) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return crc;
}

uint32_t chost_crc32c(uint32_t crc, const void *bytes, size_t length) {
    // Every processor with hardware virtualisation since 2011 has the instruction.
    return ~(__builtin_cpu_supports("sse4.2") ? crc32c_by_instruction : crc32c_by_bit)(~crc, bytes, length);
}

enum { GUARD_COUNT = 64, MESSAGE_SIZE = 1024 };

// A slot is taken first, then filled, and counts for the handler from the moment that its length is not 0. It keeps its message's
// memory for the next mapping.
static struct {
    atomic_flag is_taken;
    atomic_uintptr_t start;
    atomic_size_t length;
    char *message;
} guards[GUARD_COUNT];
static atomic_int has_handler;

// All that is called from here is async-signal-safe (POSIX.1-2017, 2.4.3).
static void end_of_mapping(int signal, siginfo_t *info, void *context) {
    uintptr_t address = (uintptr_t)info->si_addr;
    (void)context;
    for (int i = 0; i < GUARD_COUNT && info->si_code == BUS_ADRERR; i++) {
        size_t length = atomic_load(&guards[i].length);
        if (length == 0 || address - atomic_load(&guards[i].start) >= length) continue;
        chost_terminal_restore();
        if (write(STDERR_FILENO, guards[i].message, strlen(guards[i].message)) < 0) {
            // Nobody is left to tell.
        }
        _exit(1);
    }
    if (chost_watches_fault(signal)) return chost_tell_fault(signal, info);
    chost_terminal_restore();
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
    // The access comes again, and dies of it; a signal from outside has to be sent again.
    if (info->si_code <= 0) raise(signal);
}

int chost_guard_mapping(const void *start, size_t length, const char *message) {
    struct sigaction action = {.sa_sigaction = end_of_mapping, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < GUARD_COUNT; i++) {
        if (atomic_flag_test_and_set(&guards[i].is_taken)) continue;
        if (!guards[i].message && !(guards[i].message = calloc(1, MESSAGE_SIZE))) {
            atomic_flag_clear(&guards[i].is_taken);
            return -ENOMEM;
        }
        strncpy(guards[i].message, message, MESSAGE_SIZE - 1);
        atomic_store(&guards[i].start, (uintptr_t)start);
        atomic_store(&guards[i].length, length);
        if (atomic_exchange(&has_handler, 1) == 0 && sigaction(SIGBUS, &action, NULL) < 0) return -errno;
        return i;
    }
    return -ENOSPC;
}

void chost_unguard_mapping(int number) {
    if (number < 0 || number >= GUARD_COUNT) return;
    atomic_store(&guards[number].length, 0);
    atomic_flag_clear(&guards[number].is_taken);
}

int chost_guards_mappings(void) { return atomic_load(&has_handler); }

int64_t chost_seek_data(int file, int64_t offset) { return lseek(file, offset, SEEK_DATA); }
int64_t chost_seek_hole(int file, int64_t offset) { return lseek(file, offset, SEEK_HOLE); }

// A fault on one page of the text has the kernel map the pages around it: 64 KiB, and from Linux 6.18 on a whole folio of the page
// cache, up to 2 MiB. The kernel stays within the mapping, so this function splits the text into many: every other piece gets
// MADV_DONTDUMP, which changes nothing, because core files leave out text anyway.
static void divide_text(uintptr_t first, uintptr_t end) {
    const uintptr_t piece = 8 << 10;
    for (uintptr_t at = (first + piece - 1) & -piece; at + piece <= end; at += 2 * piece)
        madvise((void *)at, piece, MADV_DONTDUMP);
}

static int give_back_text(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
        uintptr_t first = (object->dlpi_addr + segment->p_vaddr) & -page;
        uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        if (context && segment->p_flags & PF_X) divide_text(first, end);
        // A hint: where it is not taken, nothing is lost.
        madvise((void *)first, end - first, MADV_DONTNEED);
    }
    return 0;
}

void chost_give_back_memory(void) {
    static atomic_flag is_divided = ATOMIC_FLAG_INIT;
    malloc_trim(0);
    dl_iterate_phdr(give_back_text, atomic_flag_test_and_set(&is_divided) ? NULL : &is_divided);
}
