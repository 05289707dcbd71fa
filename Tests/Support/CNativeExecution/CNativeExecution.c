// SPDX-License-Identifier: Apache-2.0

#include "CNativeExecution.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

void *cnative_allocate(size_t byte_count) {
  void *memory = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void cnative_free(void *memory, size_t byte_count) { munmap(memory, byte_count); }

#if defined(__x86_64__)

#include <cpuid.h>

uint32_t cnative_cpuid(uint32_t leaf, uint32_t subleaf, int index) {
  unsigned registers[4] = {0, 0, 0, 0};
  __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2], &registers[3]);
  return index >= 0 && index < 4 ? registers[index] : 0;
}

// cnative_run_avx has the upper halves of YMM too. In both, 8(%rsp) is the state from the second push on, 0(%rsp) the code.
// void cnative_run(struct cnative_state *state, const void *code): loads the state, calls the code, stores the state.
// Between the load and the store no instruction but the one under test changes a flag. Offsets: see cnative_state.
void cnative_run(struct cnative_state *state, const void *code);
void cnative_run_avx(struct cnative_state *state, const void *code);
#define FOR_EACH_VECTOR(MOVE) \
  MOVE(0) MOVE(1) MOVE(2) MOVE(3) MOVE(4) MOVE(5) MOVE(6) MOVE(7) MOVE(8) MOVE(9) MOVE(10) MOVE(11) MOVE(12) MOVE(13) \
  MOVE(14) MOVE(15)
#define LOAD_UPPER(n) "  vinsertf128 $1, 392+16*" #n "(%rdi), %ymm" #n ", %ymm" #n "\n"
#define STORE_UPPER(n) "  vextractf128 $1, %ymm" #n ", 392+16*" #n "(%rdi)\n"
#define DEFINE_RUN(name, load_upper, store_upper) __asm__( \
    ".text\n" \
    ".hidden " #name "\n" \
    ".globl " #name "\n" \
    ".type " #name ", @function\n" \
    #name ":\n" \
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n" \
    "  push %rdi\n" \
    "  push %rsi\n" \
    "  movdqu 136(%rdi), %xmm0\n  movdqu 152(%rdi), %xmm1\n  movdqu 168(%rdi), %xmm2\n  movdqu 184(%rdi), %xmm3\n" \
    "  movdqu 200(%rdi), %xmm4\n  movdqu 216(%rdi), %xmm5\n  movdqu 232(%rdi), %xmm6\n  movdqu 248(%rdi), %xmm7\n" \
    "  movdqu 264(%rdi), %xmm8\n  movdqu 280(%rdi), %xmm9\n  movdqu 296(%rdi), %xmm10\n  movdqu 312(%rdi), %xmm11\n" \
    "  movdqu 328(%rdi), %xmm12\n  movdqu 344(%rdi), %xmm13\n  movdqu 360(%rdi), %xmm14\n  movdqu 376(%rdi), %xmm15\n" \
    load_upper \
    "  push 128(%rdi)\n  popfq\n" \
    "  mov 0(%rdi), %rax\n  mov 8(%rdi), %rcx\n  mov 16(%rdi), %rdx\n  mov 24(%rdi), %rbx\n  mov 40(%rdi), %rbp\n" \
    "  mov 48(%rdi), %rsi\n  mov 64(%rdi), %r8\n  mov 72(%rdi), %r9\n  mov 80(%rdi), %r10\n  mov 88(%rdi), %r11\n" \
    "  mov 96(%rdi), %r12\n  mov 104(%rdi), %r13\n  mov 112(%rdi), %r14\n  mov 120(%rdi), %r15\n" \
    "  mov 56(%rdi), %rdi\n" \
    "  call *(%rsp)\n" \
    "  push %rdi\n" \
    "  mov 16(%rsp), %rdi\n" \
    "  pop 56(%rdi)\n" \
    "  pushfq\n  pop 128(%rdi)\n" \
    "  mov %rax, 0(%rdi)\n  mov %rcx, 8(%rdi)\n  mov %rdx, 16(%rdi)\n  mov %rbx, 24(%rdi)\n  mov %rbp, 40(%rdi)\n" \
    "  mov %rsi, 48(%rdi)\n  mov %r8, 64(%rdi)\n  mov %r9, 72(%rdi)\n  mov %r10, 80(%rdi)\n  mov %r11, 88(%rdi)\n" \
    "  mov %r12, 96(%rdi)\n  mov %r13, 104(%rdi)\n  mov %r14, 112(%rdi)\n  mov %r15, 120(%rdi)\n" \
    "  movdqu %xmm0, 136(%rdi)\n  movdqu %xmm1, 152(%rdi)\n  movdqu %xmm2, 168(%rdi)\n  movdqu %xmm3, 184(%rdi)\n" \
    "  movdqu %xmm4, 200(%rdi)\n  movdqu %xmm5, 216(%rdi)\n  movdqu %xmm6, 232(%rdi)\n  movdqu %xmm7, 248(%rdi)\n" \
    "  movdqu %xmm8, 264(%rdi)\n  movdqu %xmm9, 280(%rdi)\n  movdqu %xmm10, 296(%rdi)\n  movdqu %xmm11, 312(%rdi)\n" \
    "  movdqu %xmm12, 328(%rdi)\n  movdqu %xmm13, 344(%rdi)\n  movdqu %xmm14, 360(%rdi)\n  movdqu %xmm15, 376(%rdi)\n" \
    store_upper \
    "  cld\n" \
    "  pop %rsi\n  pop %rdi\n" \
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n" \
    "  ret\n" \
    ".size " #name ", . - " #name "\n")
DEFINE_RUN(cnative_run, "", "");
DEFINE_RUN(cnative_run_avx, FOR_EACH_VECTOR(LOAD_UPPER), FOR_EACH_VECTOR(STORE_UPPER) "  vzeroupper\n");


_Static_assert(offsetof(struct cnative_state, rflags) == 128, "the assembly above uses this offset");
_Static_assert(offsetof(struct cnative_state, xmm) == 136, "the assembly above uses this offset");
_Static_assert(offsetof(struct cnative_state, ymm_upper) == 392, "the assembly above uses this offset");

int cnative_execute(const uint8_t *code, size_t byte_count, struct cnative_state *states, size_t count) {
  if (byte_count > 15) return -EINVAL;
  uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return -errno;
  memcpy(page, code, byte_count);
  page[byte_count] = 0xc3;  // ret
  int result = mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : -errno;
  for (size_t i = 0; result == 0 && i < count; i++)
    (__builtin_cpu_supports("avx") ? cnative_run_avx : cnative_run)(&states[i], page);
  munmap(page, 4096);
  return result;
}

#else

uint32_t cnative_cpuid(uint32_t leaf, uint32_t subleaf, int index) { return 0; }

int cnative_execute(const uint8_t *code, size_t byte_count, struct cnative_state *states, size_t count) {
  return -ENOSYS;
}

#endif
