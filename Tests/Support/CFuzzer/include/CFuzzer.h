// SPDX-License-Identifier: Apache-2.0

#ifndef CFUZZER_H
#define CFUZZER_H

#include <stddef.h>
#include <stdint.h>

/// Runs libFuzzer from a main of one's own (LLVM's docs, "Using libFuzzer as a library"); its library has it.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t count));

/// A file in memory, or -1.
int cfuzzer_memory_file(void);

#endif
