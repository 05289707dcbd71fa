// SPDX-License-Identifier: Apache-2.0

#ifndef CNATIVEEXECUTION_H
#define CNATIVEEXECUTION_H

#include <stddef.h>
#include <stdint.h>

/// The user-mode state that an instruction under test starts from and ends with.
struct cnative_state {
  /// RAX to R15 in encoding order; RSP (4) is neither loaded nor stored.
  uint64_t general[16];
  /// RFLAGS; TF and AC must be clear.
  uint64_t rflags;
  /// XMM0 to XMM15, two halves each, low half first.
  uint64_t xmm[16][2];
  /// The upper halves of YMM0 to YMM15; loaded and stored only on a processor with AVX.
  uint64_t ymm_upper[16][2];
};

/// Returns one of the registers that CPUID gives: 0 to 3 for EAX, EBX, ECX, EDX; 0 for a leaf that does not exist.
uint32_t cnative_cpuid(uint32_t leaf, uint32_t subleaf, int index);

/// Executes one instruction natively on each of `count` states.
///
/// The instruction must not fault, branch or use RSP. Memory operands are accessed in this process.
/// Returns 0, or -errno when no executable page can be had, or -ENOSYS on other processors.
int cnative_execute(const uint8_t *_Nonnull code, size_t byte_count, struct cnative_state *_Nonnull states,
                    size_t count);

/// Returns `byte_count` bytes of zeroed, page-aligned memory, or null.
void *_Nullable cnative_allocate(size_t byte_count);

/// Frees what `cnative_allocate` returned.
void cnative_free(void *_Nonnull memory, size_t byte_count);

#endif
